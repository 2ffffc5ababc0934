//! Tables as the paper lays them out: a row for each method, ours with its spread, and the paper's beside it.

use super::{
    definition::{Column, Experiment, Metric, Source},
    results::{Entry, Results, mean, spread},
};

/// Place among a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Best,
    Second,
    None,
}

/// A table in Markdown. Best and second-best are marked among what was trained, column by column.
pub(crate) fn results(results: &Results<'_>, experiment: &Experiment) -> String {
    let has_any = |column: &Column| {
        let entry = |method: &str| results.entry(experiment, &column.benchmark, method, column.metric);
        experiment.rows.iter().any(|row| entry(&row.method) != Entry::Absent)
    };
    let columns: Vec<Column> = experiment.columns().filter(has_any).collect();
    let rows: Vec<Line> = experiment.rows.iter().filter_map(|row| line(results, experiment, row, &columns)).collect();
    let averaged = columns.len() > 1 && columns.iter().all(|column| column.metric == columns[0].metric);
    let width = columns.len() + usize::from(averaged);
    let rows: Vec<Line> = if averaged { rows.into_iter().map(Line::with_mean).collect() } else { rows };
    let marks: Vec<Vec<Mark>> = (0..width)
        .map(|place| {
            // Fewer active experts are not better or worse.
            let ranked = columns.get(place).is_none_or(|column| column.metric != Metric::Active);
            let trained = |line: &Line| if line.trained && ranked { line.entries[place].mean() } else { None };
            marked(&rows.iter().map(trained).collect::<Vec<_>>())
        })
        .collect();

    let mut header: Vec<String> = columns.iter().map(|column| title(results, experiment, column)).collect();
    header.extend(averaged.then(|| "mean (ours)".into()));
    let mut lines = vec![row_of("method", &header), format!("|---|{}", "---:|".repeat(width))];
    for (index, line) in rows.iter().enumerate() {
        let cells = line.entries.iter().enumerate().map(|(place, entry)| {
            let paper = line.paper.get(place).copied().flatten();
            shown(entry, paper, marks[place][index], columns.get(place).map(|column| column.metric))
        });
        lines.push(row_of(&line.name, &cells.collect::<Vec<_>>()));
    }
    lines.join("\n") + "\n"
}

/// One row before it is marked.
struct Line {
    name: String,
    trained: bool,
    entries: Vec<Entry>,
    paper: Vec<Option<f64>>,
}

impl Line {
    fn with_mean(mut self) -> Self {
        let means: Option<Vec<f64>> = self.entries.iter().map(Entry::mean).collect();
        self.entries.push(means.map_or(Entry::Absent, |means| Entry::Values(vec![mean(&means)])));
        self
    }
}

/// `None` for a row that the preset does not have at all.
fn line(
    results: &Results<'_>,
    experiment: &Experiment,
    row: &super::definition::Row,
    columns: &[Column],
) -> Option<Line> {
    let method = results.definitions.methods.get(&row.method)?;
    let entry = |column: &Column| results.entry(experiment, &column.benchmark, &row.method, column.metric);
    let entries: Vec<Entry> = columns.iter().map(entry).collect();
    let name = row.label.clone().unwrap_or_else(|| method.name.clone());
    (!entries.iter().all(|entry| *entry == Entry::Absent)).then(|| Line {
        name: if method.ours { format!("{name} (ours)") } else { name },
        trained: method.source == Source::Trained,
        entries,
        paper: columns.iter().map(|column| row.paper.get(&column.id).copied()).collect(),
    })
}

fn title(results: &Results<'_>, experiment: &Experiment, column: &Column) -> String {
    if experiment.metrics.len() > 1 {
        return column.metric.title().into();
    }
    results.definitions.benchmark_title(&column.benchmark).into()
}

/// Best and second-best among values as they are printed; equals share a mark. A lone value is no best.
fn marked(values: &[Option<f64>]) -> Vec<Mark> {
    let printed = |value: f64| (10.0 * value).round() as i64;
    let mut known: Vec<i64> = values.iter().flatten().map(|value| printed(*value)).collect();
    let alone = known.len() < 2;
    known.sort_unstable_by_key(|value| std::cmp::Reverse(*value));
    known.dedup();
    let mark = |value: &Option<f64>| match value.map(printed) {
        _ if alone => Mark::None,
        Some(value) if known.first() == Some(&value) => Mark::Best,
        Some(value) if known.get(1) == Some(&value) => Mark::Second,
        _ => Mark::None,
    };
    values.iter().map(mark).collect()
}

/// `**81.2** ± 0.4 (paper 80.1, +1.1)`.
fn shown(entry: &Entry, paper: Option<f64>, mark: Mark, metric: Option<Metric>) -> String {
    let digits = if metric == Some(Metric::Active) { 2 } else { 1 };
    let of_paper = |ours: Option<f64>| match (paper, ours) {
        (None, _) => String::new(),
        (Some(paper), None) => format!(" (paper {paper:.digits$})"),
        (Some(paper), Some(ours)) => format!(" (paper {paper:.digits$}, {:+.digits$})", ours - paper),
    };
    let ours = match entry {
        Entry::Absent => "–".into(),
        Entry::Missing => "not run".into(),
        Entry::Failed => "failed".into(),
        Entry::Values(values) => {
            let value = format!("{:.digits$}", mean(values));
            let value = match mark {
                Mark::Best => format!("**{value}**"),
                Mark::Second => format!("<ins>{value}</ins>"),
                Mark::None => value,
            };
            spread(values).map_or_else(|| value.clone(), |spread| format!("{value} ± {spread:.digits$}"))
        }
    };
    ours + &of_paper(entry.mean())
}

/// The settings of each method, from the resolved configuration of a planned run.
pub(crate) fn settings(results: &Results<'_>, experiment: &Experiment) -> String {
    let header =
        ["gating", "N", "r", "alpha", "scale alpha / r", "learning rate", "balance loss", "trained parameters"];
    let mut lines =
        vec![row_of("method", &header.map(str::to_owned)), format!("|---|---|{}", "---:|".repeat(header.len() - 1))];
    for row in &experiment.rows {
        let benchmarks = results.definitions.preset.benchmarks.keys();
        let mut planned = benchmarks.flat_map(|benchmark| results.of_row(experiment, benchmark, &row.method));
        let (Some(method), Some(planned)) = (results.definitions.methods.get(&row.method), planned.next()) else {
            continue;
        };
        let settings = planned.estimate.settings();
        let number = |key: &str| settings.get(key).and_then(serde_json::Value::as_f64);
        let recipe = |key: &str| settings.get("recipe").and_then(|recipe| recipe[key].as_f64());
        let is_lora = settings.get("method").and_then(|name| name.as_str()) == Some("lora");
        let shown = |value: Option<f64>| value.map_or_else(|| "–".into(), decimal);
        let scale = number("alpha").zip(number("rank")).map(|(alpha, rank)| alpha / rank);
        let cells = [
            gating(&settings),
            if is_lora { "–".into() } else { shown(number("num_experts")) },
            shown(number("rank")),
            shown(number("alpha")),
            shown(scale),
            shown(recipe("learning_rate")),
            if is_lora { "–".into() } else { shown(recipe("balance_coefficient")) },
            planned.estimate.trainable_parameters.to_string(),
        ];
        let name = if method.ours { format!("{} (ours)", method.name) } else { method.name.clone() };
        lines.push(row_of(&name, &cells));
    }
    lines.join("\n") + "\n"
}

fn gating(settings: &serde_json::Map<String, serde_json::Value>) -> String {
    let number = |key: &str| settings.get(key).and_then(serde_json::Value::as_f64);
    match settings.get("method").and_then(|name| name.as_str()) {
        Some("lora") => "none".into(),
        Some("adamole") => number("tau_max").map_or_else(
            || "threshold up to 1/N, learned".into(),
            |tau| format!("threshold up to {}, learned", decimal(tau)),
        ),
        _ => match (number("top_k"), number("threshold")) {
            (Some(k), _) => format!("top-{k}"),
            (None, Some(threshold)) => format!("threshold {}, fixed", decimal(threshold)),
            (None, None) => "threshold 1/N, fixed".into(),
        },
    }
}

/// A number without the tail of a single-precision one.
fn decimal(value: f64) -> String {
    format!("{}", (value * 1e9).round() / 1e9)
}

/// A line of a table in Markdown.
pub(crate) fn row_of(first: &str, cells: &[String]) -> String {
    format!("| {first} | {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_share_a_mark_and_a_lone_value_has_none() {
        let values = [Some(80.0), Some(82.04), Some(82.01), None, Some(79.0)];
        assert_eq!(marked(&values), [Mark::Second, Mark::Best, Mark::Best, Mark::None, Mark::None]);
        assert_eq!(marked(&[Some(80.0), None]), [Mark::None, Mark::None]);
    }

    #[test]
    fn a_cell_shows_spread_paper_and_difference() {
        let accuracy = Some(Metric::Accuracy);
        let values = Entry::Values(vec![80.0, 82.0]);
        assert_eq!(shown(&values, Some(80.5), Mark::Best, accuracy), "**81.0** ± 1.4 (paper 80.5, +0.5)");
        assert_eq!(shown(&Entry::Values(vec![3.125]), None, Mark::Second, Some(Metric::Active)), "<ins>3.12</ins>");
        assert_eq!(shown(&Entry::Failed, Some(77.0), Mark::None, accuracy), "failed (paper 77.0)");
        assert_eq!(shown(&Entry::Missing, None, Mark::None, accuracy), "not run");
    }
}
