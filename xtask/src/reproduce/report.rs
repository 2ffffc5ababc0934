//! The report: Markdown, a page that stands alone, and the figures as files.

use super::{
    check::{Finding, gains, sanity},
    definition::{Experiment, Kind, Metric, Row, Source},
    differences, figure,
    outcome::{Environment, Outcome, Training},
    results::{Entry, Results, mean},
    run::duration,
    table::{self, row_of},
};
use crate::Failure;
use pulldown_cmark::{Options, Parser, html};
use std::{collections::BTreeMap, fs, path::Path};

const STYLE: &str = "body{max-width:75em}table{border-collapse:collapse;margin:1em 0}th,td{padding:3px 9px;\
    border-bottom:1px solid #ddd}th{border-bottom:2px solid #555}tr:hover{background:#f4f4f4}\
    code,pre{font-size:13px;background:#f4f4f4}pre{padding:8px;overflow-x:auto}svg{max-width:100%}";

/// Writes `report.md`, `report.html` and the figures to `folder`.
pub(crate) fn write(results: &Results<'_>, command: &str, folder: &Path) -> Result<(), Failure> {
    let figures: BTreeMap<String, String> = results
        .definitions
        .of_preset()
        .filter(|experiment| matches!(experiment.kind, Kind::Layers | Kind::Methods))
        .filter_map(|experiment| Some((format!("{}.svg", experiment.id), figure::svg(results, experiment)?)))
        .collect();
    for (name, svg) in &figures {
        fs::write(folder.join(name), svg)?;
    }
    let markdown = markdown(results, command, &figures);
    fs::write(folder.join("report.html"), page(&results.definitions.preset.title, &markdown, &figures))?;
    Ok(fs::write(folder.join("report.md"), markdown)?)
}

/// The Markdown as a page, its figures drawn in place.
fn page(title: &str, markdown: &str, figures: &BTreeMap<String, String>) -> String {
    // The page has the title as a heading of its own.
    let body = markdown.split_once('\n').map_or("", |(_, body)| body);
    let mut content = String::new();
    html::push_html(&mut content, Parser::new_ext(body, Options::ENABLE_TABLES));
    for (name, svg) in figures {
        content = content.replace(&format!("<img src=\"{name}\" alt=\"{name}\" />"), svg);
    }
    adamole_chart::document(title, STYLE, &content)
}

fn markdown(results: &Results<'_>, command: &str, figures: &BTreeMap<String, String>) -> String {
    let preset = &results.definitions.preset;
    let mut out = format!("# {}\n\n{}\n\n", preset.title, preset.about.trim());
    out += &environment(results, command);
    out += "\nAccuracies are in percent, of the items that are reported, with aligned scoring; ± is the standard deviation over \
            seeds where there are several. **Best** and <ins>second-best</ins> of what was trained are marked in each column. \
            \"(ours)\" marks what the paper does not have. Values of the paper stand in parentheses with the difference to \
            them, where the definition of the table gives them.\n";
    out += &sampling(results);
    out += &findings(results);
    let mut experiments: Vec<&Experiment> = results.definitions.of_preset().collect();
    experiments.sort_by_key(|experiment| super::definition::EXPERIMENTS.iter().position(|id| *id == experiment.id));
    for experiment in experiments {
        out += &format!("\n## {}: {}\n\n{}\n\n", experiment.name(), experiment.title, experiment.about.trim());
        let name = format!("{}.svg", experiment.id);
        out += &match experiment.kind {
            Kind::Table => table::results(results, experiment),
            Kind::Settings => table::settings(results, experiment),
            Kind::Layers | Kind::Methods if figures.contains_key(&name) => format!("![{name}]({name})\n"),
            Kind::Layers | Kind::Methods => "Not run.\n".into(),
        };
    }
    out += "\n## Beside the paper's tables\n";
    for (title, about, metric) in [
        (
            "Where the epoch was chosen",
            "Accuracy of the same epochs on the items that chose them, as the paper reports it. What it is above the tables' \
             values is what choosing alone can give.",
            Metric::Selection,
        ),
        (
            "With the published scoring",
            "Accuracy of the same adapters on the reported items, asked after a lone space, over as many letters as the \
             benchmark has (`reference`).",
            Metric::Reference,
        ),
    ] {
        out += &format!("\n### {title}\n\n{about}\n\n{}", table::results(results, &overview(results, metric)));
    }
    out += &below_majority(results);
    out += &format!("\n## What differs from the paper\n\n{}", differences::markdown(results));
    for (planned, failure) in results.failures() {
        out += &format!("\n### {} failed\n\n```text\n{failure}\n```\n", planned.cell.key.id());
    }
    out + &runs(results) + &settings(results)
}

fn environment(results: &Results<'_>, command: &str) -> String {
    let mut seen: Vec<&Environment> = outcomes(results).map(|outcome| &outcome.environment).collect();
    seen.sort();
    let list = |field: fn(&Environment) -> &str| {
        let mut values: Vec<&str> = seen.iter().map(|environment| field(environment)).collect();
        values.sort_unstable();
        values.dedup();
        values.join("; ")
    };
    let dates: Vec<&str> = seen.iter().map(|environment| environment.date.as_str()).collect();
    let period = match (dates.iter().min(), dates.iter().max()) {
        (Some(first), Some(last)) if first != last => format!("{first} to {last}"),
        (Some(day), _) => (*day).to_owned(),
        _ => "not run".into(),
    };
    let seconds: f64 = outcomes(results).map(|outcome| outcome.seconds).sum();
    let done = results.cells.iter().filter(|planned| planned.is_done()).count();
    let models = &results.definitions.preset.models;
    let models: Vec<String> = models.iter().map(|(role, model)| format!("{} ({role})", model.title)).collect();
    let seeds: Vec<String> = results.seeds.iter().map(u64::to_string).collect();
    let rows = [
        ("command", format!("`{command}`")),
        ("models", models.join(", ")),
        ("seeds", seeds.join(", ")),
        ("cells", format!("{done} of {} done", results.cells.len())),
        ("time", format!("{} for all cells, one after the other", duration(seconds))),
        ("processor", list(|environment| &environment.processor)),
        ("machine", list(|environment| &environment.size)),
        ("system", list(|environment| &environment.system)),
        ("device", list(|environment| &environment.device)),
        ("program", list(|environment| &environment.program)),
        ("date", period),
    ];
    let rows: Vec<String> = rows.iter().map(|(name, value)| format!("| {name} | {value} |")).collect();
    format!("| environment | |\n|---|---|\n{}\n", rows.join("\n"))
}

fn outcomes<'a>(results: &'a Results<'_>) -> impl Iterator<Item = &'a Outcome> {
    results.cells.iter().filter_map(|planned| planned.outcome())
}

/// How many items stand behind an accuracy, and how much of it can be chance.
fn sampling(results: &Results<'_>) -> String {
    let numbers = |outcome: &Outcome| Some((outcome.benchmark.clone(), outcome.numbers()?.reported_items));
    let items: BTreeMap<String, u64> = outcomes(results).filter_map(numbers).collect();
    if items.is_empty() {
        return String::new();
    }
    let of_benchmark = |(benchmark, items): (&String, &u64)| {
        let title = results.definitions.benchmark_title(benchmark);
        format!("{title} {items} (±{:.1})", 50.0 / (*items as f64).sqrt())
    };
    let items: Vec<String> = items.iter().map(of_benchmark).collect();
    format!(
        "\nItems reported, and the standard error of an accuracy of 50 % on so many: {}. Of two methods that are nearer than \
         twice that, either may be the better one.\n",
        items.join(", ")
    )
}

fn findings(results: &Results<'_>) -> String {
    let all: Vec<Finding> = sanity(results).into_iter().chain(gains(results)).collect();
    if all.is_empty() {
        return String::new();
    }
    let word = |holds: Option<bool>| match holds {
        Some(true) => "holds",
        Some(false) => "**does not hold**",
        None => "not run",
    };
    let rows: Vec<String> =
        all.iter().map(|Finding { says, holds }| format!("| {says} | {} |", word(*holds))).collect();
    format!("\n## What must come out\n\n| | |\n|---|---|\n{}\n", rows.join("\n"))
}

/// The methods by benchmarks of all tables of accuracy with the first model, as one table.
fn overview(results: &Results<'_>, metric: Metric) -> Experiment {
    let of_accuracy = |experiment: &&Experiment| {
        experiment.kind == Kind::Table && experiment.model == "base" && experiment.metrics == [Metric::Accuracy]
    };
    let tables: Vec<&Experiment> = results.definitions.of_preset().filter(of_accuracy).collect();
    let mut rows: Vec<Row> = Vec::new();
    for row in tables.iter().flat_map(|experiment| &experiment.rows) {
        if !rows.iter().any(|known| known.method == row.method) {
            rows.push(Row { paper: BTreeMap::new(), ..row.clone() });
        }
    }
    Experiment {
        id: "overview0".into(),
        title: String::new(),
        about: String::new(),
        kind: Kind::Table,
        model: "base".into(),
        benchmarks: tables.iter().flat_map(|experiment| experiment.benchmarks.clone()).collect(),
        metrics: vec![metric],
        rows,
        descending: Vec::new(),
        collapsed: None,
        axis: None,
    }
}

/// Which trained methods do no better than the most frequent answer.
fn below_majority(results: &Results<'_>) -> String {
    let overview = overview(results, Metric::Accuracy);
    let mut below = Vec::new();
    for benchmark in &overview.benchmarks {
        let Some(majority) = results.mean(&overview, benchmark, "majority", Metric::Accuracy) else { continue };
        for row in &overview.rows {
            let method = results.definitions.methods.get(&row.method);
            let Some(method) = method.filter(|method| method.source == Source::Trained) else { continue };
            if let Entry::Values(values) = results.entry(&overview, benchmark, &row.method, Metric::Accuracy)
                && mean(&values) <= majority
            {
                let title = results.definitions.benchmark_title(benchmark);
                below.push(format!("- {title}: {} {:.1}, majority {majority:.1}", method.name, mean(&values)));
            }
        }
    }
    let all = match below.is_empty() {
        true => "Every method that was run beats the most frequent answer on every benchmark.".into(),
        false => below.join("\n"),
    };
    format!("\n### No better than the most frequent answer\n\n{all}\n")
}

/// Every run, as it was.
fn runs(results: &Results<'_>) -> String {
    let header = [
        "reported",
        "reference scoring",
        "where chosen",
        "before",
        "best epoch",
        "task loss, first and last epoch",
        "balance loss",
        "active experts",
        "items trained on",
        "peak memory",
        "tokens/s",
        "time",
    ];
    let mut out = format!("\n## All runs\n\n{}\n", row_of("cell", &header.map(str::to_owned)));
    out += &format!("|---|{}\n", "---:|".repeat(header.len()));
    for outcome in outcomes(results) {
        let Some(numbers) = outcome.numbers() else { continue };
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let number =
            |value: Option<f64>, digits: usize| value.map_or("–".into(), |value| format!("{value:.digits$}"));
        let of = |show: &dyn Fn(&Training) -> String| numbers.training.as_ref().map_or_else(|| "–".into(), show);
        let gibibytes = |bytes: u64| format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30));
        let cells = [
            percent(numbers.accuracy),
            percent(numbers.reference_accuracy),
            of(&|training| percent(training.accuracy)),
            of(&|training| percent(training.accuracy_before)),
            of(&|training| format!("{} of {}", training.best_epoch, training.epochs)),
            of(&|t| format!("{}, {}", number(t.task_loss_first_epoch, 3), number(t.task_loss_last_epoch, 3))),
            of(&|training| number(training.balance_loss_last_epoch, 2)),
            of(&|training| number(training.mean_active_experts, 2)),
            of(&|training| training.train_items.to_string()),
            of(&|training| training.peak_memory_bytes.map_or("–".into(), gibibytes)),
            of(&|training| format!("{:.0}", training.tokens_per_second)),
            duration(outcome.seconds),
        ];
        out += &format!("{}\n", row_of(&outcome.key().id(), &cells));
    }
    out
}

/// The preset's settings, as they are written.
fn settings(results: &Results<'_>) -> String {
    let preset = &results.definitions.preset;
    let mut out = format!("\n## Settings\n\nOf every run:\n\n```toml\n{}```\n", preset.settings);
    for (family, settings) in &preset.families {
        out += &format!("\nOf the family `{family}`:\n\n```toml\n{settings}```\n");
    }
    for (benchmark, portion) in preset.benchmarks.iter().filter(|(_, portion)| !portion.settings.is_empty()) {
        out += &format!("\nOf `{benchmark}`:\n\n```toml\n{}```\n", portion.settings);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_draws_its_figures_and_stands_alone() {
        let figures = BTreeMap::from([("figure2.svg".to_owned(), "<svg>drawn</svg>".to_owned())]);
        let markdown = "# Title\n\n| a | b |\n|---|---:|\n| **1** | <ins>2</ins> |\n\n![figure2.svg](figure2.svg)\n";
        let page = page("Title", markdown, &figures);
        assert!(page.contains("<svg>drawn</svg>") && !page.contains("<img"), "{page}");
        assert!(page.contains("<strong>1</strong>") && page.contains("<ins>2</ins>"), "{page}");
        assert_eq!(page.matches("<h1>").count(), 1);
    }
}
