//! The report: Markdown, a self-contained page, figures as files, and JSON.

use crate::ExperimentError;
use crate::{
    check::gains,
    claims::{Finding, Verdict, findings},
    differences,
    experiment::{Column, Experiment, Kind, Metric},
    figure, json,
    results::Results,
    runs,
    table::{self, row_of},
};
use pulldown_cmark::{Options, Parser, html};
use std::{collections::BTreeMap, fs, path::Path};

const STYLE: &str = "table{border-collapse:collapse;margin:1em 0}th,td{padding:3px 9px;\
    border-bottom:1px solid rgb(128 128 128/.35)}th{border-bottom:2px solid rgb(128 128 128/.7)}\
    tr:hover,code,pre{background:rgb(128 128 128/.12)}code,pre{font-size:13px}pre{padding:8px;overflow-x:auto}\
    code{overflow-wrap:anywhere}td[style*=right]{white-space:nowrap}";

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

pub(crate) fn write_file(path: &Path, text: &str) -> Result<(), ExperimentError> {
    fs::write(path, text).map_err(ExperimentError::io(path))
}

/// The Markdown as a page with its figures.
pub(crate) fn page(title: &str, markdown: &str, figures: &BTreeMap<String, String>) -> String {
    // The page has the title as a heading of its own.
    let body = markdown.split_once('\n').map_or("", |(_, body)| body);
    let mut content = String::new();
    html::push_html(&mut content, Parser::new_ext(body, Options::ENABLE_TABLES));
    // A wide table scrolls by itself.
    content = content.replace("<table>", "<div class=\"wide\"><table>").replace("</table>", "</table></div>");
    for (name, svg) in figures {
        content = content.replace(&format!("<img src=\"{name}\" alt=\"{name}\" />"), svg);
    }
    adamole_chart::document(title, STYLE, &content)
}

fn markdown(results: &Results<'_>, command: &str, figures: &BTreeMap<String, String>, findings: &[Finding]) -> String {
    let preset = &results.definitions.preset;
    let mut out = format!("# {}\n\n{}\n\n", preset.title, preset.about.trim());
    out += &runs::environment(results, command);
    out += "\nTables and figures have the paper's numbers, rows and columns; the paper's value stands in parentheses with the \
            difference to it. Below a line is what the paper does not have. Accuracies are in percent, of the items that are \
            reported, with aligned scoring; ± is the standard deviation over seeds where there are several. **Best** and \
            <ins>second-best</ins> of the paper's rows are marked where they are above the most frequent answer.\n";
    out += &runs::sampling(results);
    out += &runs::left_out(results);
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
    out + &runs::all(results) + &runs::settings(results)
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

/// One table of all benchmarks and methods in the accuracy tables of the first model.
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

/// The methods that did not learn, on whose accuracies no comparison can be based.
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
        assert!(page.contains("<div class=\"wide\"><table>") && page.contains("</table></div>"), "{page}");
        assert_eq!(page.matches("<h1>").count(), 1);
    }
}
