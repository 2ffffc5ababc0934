//! The report: Markdown, a page that stands alone, the figures as files, and the same as JSON.

use crate::ExperimentError;
use crate::{
    check::gains,
    claims::{Finding, Verdict, findings},
    differences,
    experiment::{Column, Experiment, Kind, Metric},
    figure, json,
    outcome::{Environment, Outcome, Training},
    preset::Model,
    results::Results,
    runner::duration,
    table::{self, row_of},
};
use pulldown_cmark::{Options, Parser, html};
use std::{collections::BTreeMap, fs, path::Path};

const STYLE: &str = "body{max-width:75em}table{border-collapse:collapse;margin:1em 0}th,td{padding:3px 9px;\
    border-bottom:1px solid #ddd}th{border-bottom:2px solid #555}tr:hover{background:#f4f4f4}\
    code,pre{font-size:13px;background:#f4f4f4}pre{padding:8px;overflow-x:auto}svg{max-width:100%}";

/// Writes `report.md`, `report.html`, `report.json` and the figures to `folder`.
pub(crate) fn write(results: &Results<'_>, preset: &str, command: &str, folder: &Path) -> Result<(), ExperimentError> {
    let experiments = results.definitions.experiments.iter();
    let figures: BTreeMap<String, String> = experiments
        .filter(|experiment| experiment.kind != Kind::Table)
        .filter_map(|experiment| Some((format!("{}.svg", experiment.id), figure::svg(results, experiment)?)))
        .collect();
    for (name, svg) in &figures {
        write_file(&folder.join(name), svg)?;
    }
    let findings = findings(results);
    let json = format!("{:#}\n", json::report(results, preset, &findings));
    write_file(&folder.join("report.json"), &json)?;
    let markdown = markdown(results, command, &figures, &findings);
    write_file(&folder.join("report.html"), &page(&results.definitions.preset.title, &markdown, &figures))?;
    write_file(&folder.join("report.md"), &markdown)
}

fn write_file(path: &Path, text: &str) -> Result<(), ExperimentError> {
    fs::write(path, text).map_err(ExperimentError::io(path))
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

fn markdown(results: &Results<'_>, command: &str, figures: &BTreeMap<String, String>, findings: &[Finding]) -> String {
    let preset = &results.definitions.preset;
    let mut out = format!("# {}\n\n{}\n\n", preset.title, preset.about.trim());
    out += &environment(results, command);
    out += "\nTables and figures have the paper's numbers, rows and columns; the paper's value stands in parentheses with the \
            difference to it. Below a line is what the paper does not have. Accuracies are in percent, of the items that are \
            reported, with aligned scoring; ± is the standard deviation over seeds where there are several. **Best** and \
            <ins>second-best</ins> of the paper's rows are marked where they are above the most frequent answer.\n";
    out += &sampling(results);
    out += &left_out(results);
    out += &said(&gains(results).into_iter().chain(findings.iter().cloned()).collect::<Vec<_>>());
    out += &not_learned(results);
    for experiment in &results.definitions.experiments {
        out += &format!("\n## {}: {}\n\n{}\n\n", experiment.name(), experiment.caption, experiment.about.trim());
        if let Some(reason) = results.definitions.no_model(experiment) {
            out += &format!("This preset has no model `{}`: {reason}\n\n", experiment.model);
        }
        let name = format!("{}.svg", experiment.id);
        out += &match experiment.kind {
            Kind::Table => table::results(results, experiment),
            Kind::Projections | Kind::Gatings if figures.contains_key(&name) => format!("![{name}]({name})\n"),
            Kind::Projections | Kind::Gatings => "Not run.\n".into(),
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
            "With the scoring of the reference implementation",
            "Accuracy of the same adapters on the reported items, asked after a lone space, over as many letters as the \
             benchmark has (`reference`).",
            Metric::Reference,
        ),
    ] {
        let overview = overview(results, metric);
        if !overview.columns.is_empty() {
            out += &format!("\n### {title}\n\n{about}\n\n{}", table::results(results, &overview));
        }
    }
    out += &format!("\n## What differs from the paper\n\n{}", differences::markdown(results));
    for (planned, failure) in results.failures() {
        out += &format!("\n### {} failed\n\n```text\n{failure}\n```\n", planned.cell.key.id());
    }
    out += &format!("\n## Settings of the methods\n\n{}", table::settings(results));
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
    let hash = |hash: &String| format!(", model.safetensors of SHA-256 `{hash}`");
    let described = |(role, model): (&String, &Model)| {
        format!("{} ({role}{})", model.title, model.sha256.as_ref().map(hash).unwrap_or_default())
    };
    let models: Vec<String> = models.iter().map(described).collect();
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

/// What of the paper the preset does not have, and why.
fn left_out(results: &Results<'_>) -> String {
    let left_out = &results.definitions.preset.left_out;
    if left_out.is_empty() {
        return String::new();
    }
    let line =
        |(name, reason): (&String, &String)| format!("- {}: {reason}", results.definitions.benchmark_title(name));
    format!("\nNot in this preset:\n\n{}\n", left_out.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn said(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let rows = findings.iter().map(|Finding { of, says, numbers, state, is_structural }| {
        let state = match state {
            Verdict::DoesNotHold => format!("**{}**", state.words()),
            state => state.words().to_owned(),
        };
        let must = if *is_structural { " (must hold)" } else { "" };
        row_of(of, &[format!("{says}{must}"), state, numbers.clone()])
    });
    format!(
        "\n## What the paper says\n\nA difference within two standard errors decides nothing. What follows from a method, \
         whoever wins, must hold.\n\n| | claim | here | numbers |\n|---|---|---|---|\n{}\n",
        rows.collect::<Vec<_>>().join("\n")
    )
}

/// The benchmarks of all tables of accuracy with the first model, by their methods, as one table.
fn overview(results: &Results<'_>, metric: Metric) -> Experiment {
    let of_accuracy = |experiment: &&Experiment| {
        experiment.kind == Kind::Table && experiment.model == "base" && experiment.metric == Metric::Accuracy
    };
    let mut columns: Vec<Column> = Vec::new();
    let mut rows: Vec<String> = Vec::new();
    for experiment in results.definitions.experiments.iter().filter(of_accuracy) {
        for column in experiment.columns.iter().filter(|column| column.is_benchmark()) {
            let is_run = |row: &String| results.score(experiment, column, row, metric).is_some();
            if !columns.iter().any(|known| known.id == column.id) && experiment.all_rows().any(is_run) {
                columns.push(column.clone());
            }
        }
        for row in experiment.all_rows() {
            let is_run = |column: &Column| results.score(experiment, column, row, metric).is_some();
            if !rows.contains(row) && experiment.columns.iter().any(is_run) {
                rows.push(row.clone());
            }
        }
    }
    Experiment::overview(metric, columns, rows)
}

/// Where training came to nothing, which no comparison of methods should be read from.
fn not_learned(results: &Results<'_>) -> String {
    let mut lines: Vec<String> = Vec::new();
    for experiment in &results.definitions.experiments {
        for (column, methods) in table::not_learned(results, experiment) {
            lines.push(format!("- {}, {column}: {}", experiment.name(), methods.join("; ")));
        }
    }
    let all = match lines.is_empty() {
        true => {
            "Every method that was run is above the untuned base and the most frequent answer wherever it was trained."
                .into()
        }
        false => format!(
            "Not above both the untuned base and the most frequent answer by two standard errors. A difference between such \
             methods says nothing.\n\n{}",
            lines.join("\n")
        ),
    };
    format!("\n## Not shown to learn at this size\n\n{all}\n")
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
        "load balancing loss",
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
