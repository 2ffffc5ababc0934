//! Tables in the paper's layout: a row for each method, each value with its spread and the paper's value beside it. Rows that the paper
//! does not have follow below a line.

use crate::{
    experiment::{Column, Experiment, Kind, Metric},
    method::Source,
    results::{Entry, Results, Score},
};

/// The rank of a value in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Best,
    Second,
    None,
}

/// A table in Markdown. The best and the second-best value of each column are marked among the rows above the line.
pub(crate) fn results(results: &Results<'_>, experiment: &Experiment) -> String {
    let columns = &experiment.columns;
    let marks: Vec<Vec<Mark>> = columns.iter().map(|column| marks(results, experiment, column)).collect();
    let titles = columns.iter().map(|column| results.definitions.column_title(column).to_owned());
    let header: Vec<String> = std::iter::once("gating".to_owned()).chain(titles).collect();
    let mut lines = vec![row_of("model", &header), format!("|---|---|{}", "---:|".repeat(columns.len()))];
    for (place, method) in experiment.all_rows().enumerate() {
        if place == experiment.rows.len() {
            lines.push(row_of("*not in the paper:*", &vec![String::new(); columns.len() + 1]));
        }
        let Some(known) = results.definitions.methods.get(method) else { continue };
        let cells = columns.iter().zip(&marks).map(|(column, marks)| {
            let entry = results.entry(experiment, column, method, experiment.metric);
            let printed = results.definitions.printed(experiment, &column.id, method);
            shown(&entry, printed, marks.get(place).copied().unwrap_or(Mark::None))
        });
        let cells: Vec<String> = std::iter::once(known.gating_title()).chain(cells).collect();
        lines.push(row_of(known.title(), &cells));
    }
    lines.join("\n") + "\n"
}

/// The marks of the rows above the line. A value below the most frequent answer has no mark.
fn marks(results: &Results<'_>, experiment: &Experiment, column: &Column) -> Vec<Mark> {
    let trained = |method: &String| {
        let known = results.definitions.methods.get(method)?;
        let ranked = known.source == Source::Trained && experiment.metric.is_ranked();
        let score = results.score(experiment, column, method, experiment.metric);
        score.filter(|_| ranked).map(|score| score.mean)
    };
    let values: Vec<Option<f64>> = experiment.rows.iter().map(trained).collect();
    let majority = results.of_base(experiment, column, Source::Majority).map_or(0.0, |score| score.mean);
    let above = |(value, mark): (&Option<f64>, Mark)| {
        if value.is_some_and(|value| value > majority) { mark } else { Mark::None }
    };
    values.iter().zip(marked(&values)).map(above).collect()
}

/// The best and the second-best of rounded values. Equal values share a mark, and a single value has none.
fn marked(values: &[Option<f64>]) -> Vec<Mark> {
    let printed = |value: f64| (100.0 * value).round() as i64;
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

/// `**81.25** ± 0.40 (paper 80.10, +1.15)`.
fn shown(entry: &Entry, printed: Option<f64>, mark: Mark) -> String {
    let ours = match entry {
        Entry::Absent => "–".into(),
        Entry::Missing => "not run".into(),
        Entry::Failed => "failed".into(),
        Entry::Value(Score { mean, spread, .. }) => {
            let value = match mark {
                Mark::Best => format!("**{mean:.2}**"),
                Mark::Second => format!("<ins>{mean:.2}</ins>"),
                Mark::None => format!("{mean:.2}"),
            };
            spread.map_or_else(|| value.clone(), |spread| format!("{value} ± {spread:.2}"))
        }
    };
    match (printed, entry) {
        (None, _) => ours,
        (Some(printed), Entry::Value(score)) => format!("{ours} (paper {printed:.2}, {:+.2})", score.mean - printed),
        (Some(printed), _) => format!("{ours} (paper {printed:.2})"),
    }
}

/// The methods that did not learn, by column: not above both the untuned base and the most frequent answer by two standard errors of
/// the difference. Only of tables of accuracy.
pub(crate) fn not_learned(results: &Results<'_>, experiment: &Experiment) -> Vec<(String, Vec<String>)> {
    let not_learned = |column: &Column| {
        let baseline = results.untrained(experiment, column)?;
        let failed = |method: &&String| {
            let known = results.definitions.methods.get(*method);
            let is_trained = known.is_some_and(|known| known.source == Source::Trained);
            let score = results.score(experiment, column, method, Metric::Accuracy).filter(|_| is_trained);
            score.is_some_and(|score| {
                let (above, error) = score.above(&baseline);
                above <= 2.0 * error
            })
        };
        let names = experiment.all_rows().filter(failed).filter_map(|method| results.definitions.methods.get(method));
        let names: Vec<String> = names.map(|method| method.name()).collect();
        (!names.is_empty()).then(|| (results.definitions.column_title(column).to_owned(), names))
    };
    match experiment.kind == Kind::Table && experiment.metric.is_ranked() {
        true => experiment.columns.iter().filter_map(not_learned).collect(),
        false => Vec::new(),
    }
}

/// The resolved settings of each method.
pub(crate) fn settings(results: &Results<'_>) -> String {
    let header =
        ["gating", "N", "r", "alpha", "scale alpha / r", "learning rate", "load balancing loss", "trained parameters"];
    let mut lines =
        vec![row_of("method", &header.map(str::to_owned)), format!("|---|---|{}", "---:|".repeat(header.len() - 1))];
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for planned in results.cells.iter().filter(|planned| planned.cell.is_trained) {
        let key = &planned.cell.key;
        let (Some(estimate), false) = (&planned.estimate, seen.contains(&(&key.model, &key.method))) else { continue };
        seen.push((&key.model, &key.method));
        let settings = estimate.settings();
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
            estimate.trainable_parameters.to_string(),
        ];
        lines.push(row_of(&format!("{} ({})", key.method, key.model), &cells));
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

/// A share in percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_mark_and_a_single_value_has_none() {
        let values = [Some(80.0), Some(82.004), Some(82.001), None, Some(79.0)];
        assert_eq!(marked(&values), [Mark::Second, Mark::Best, Mark::Best, Mark::None, Mark::None]);
        assert_eq!(marked(&[Some(80.0), None]), [Mark::None, Mark::None]);
    }

    #[test]
    fn a_cell_shows_spread_paper_and_difference() {
        let values = Entry::Value(Score::of(&[80.0, 82.0], Some(100)));
        assert_eq!(shown(&values, Some(80.5), Mark::Best), "**81.00** ± 1.41 (paper 80.50, +0.50)");
        assert_eq!(shown(&Entry::Value(Score::of(&[3.125], None)), None, Mark::Second), "<ins>3.12</ins>");
        assert_eq!(shown(&Entry::Failed, Some(77.0), Mark::None), "failed (paper 77.00)");
        assert_eq!(shown(&Entry::Missing, None, Mark::None), "not run");
        assert_eq!(shown(&Entry::Absent, Some(77.0), Mark::None), "– (paper 77.00)");
    }
}
