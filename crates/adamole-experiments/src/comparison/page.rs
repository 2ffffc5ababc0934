//! The files of a comparison's report.

use super::{
    Comparison, costs,
    grid::Grid,
    judgement::{judgements, ranking},
    learned::Learned,
    markdown::Parts,
    rates::{Reached, choices},
};
use crate::{ExperimentError, report, results::Results};
use adamole_chart::{Point, scatter};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};

/// The chart of accuracy and cost.
const PLOT: &str = "cost.svg";

/// Writes `report.md`, `report.html`, `report.json` and the chart to `folder`.
///
/// # Errors
/// A file cannot be written, or one of measured costs cannot be read.
pub(crate) fn write(
    comparison: &Comparison,
    results: &Results<'_>,
    command: &str,
    folder: &Path,
) -> Result<(), ExperimentError> {
    let grid = Grid::of(results);
    let judgements: Vec<_> =
        comparison.groups.iter().map(|group| judgements(&grid, group, &comparison.benchmarks)).collect();
    let rows = comparison.rows();
    let learned: Vec<Learned> =
        comparison.benchmarks.iter().filter_map(|name| Learned::of(&grid, &rows, name, results)).collect();
    let telling: Vec<String> =
        learned.iter().filter(|it| !it.above.is_empty()).map(|it| it.benchmark.clone()).collect();
    let ranking = ranking(&grid, &rows, &telling);
    let parts = Parts {
        comparison,
        results,
        grid: &grid,
        choices: &choices(comparison, results.cells),
        judgements: &judgements,
        learned: &learned,
        ranking: ranking.as_ref(),
        costs: &costs::read(comparison, folder)?,
    };
    let plot = plot(&parts);
    let figures: BTreeMap<String, String> = plot.into_iter().map(|svg| (PLOT.to_owned(), svg)).collect();
    for (name, svg) in &figures {
        report::write_file(&folder.join(name), svg)?;
    }
    let markdown = parts.markdown(command, figures.contains_key(PLOT).then_some(PLOT));
    report::write_file(&folder.join("report.json"), &format!("{:#}\n", json(&parts)))?;
    let page = report::page(&results.definitions.preset.title, &markdown, &figures);
    report::write_file(&folder.join("report.html"), &page)?;
    report::write_file(&folder.join("report.md"), &markdown)
}

/// Mean accuracy by the time of a step, or by the operations of a token where that is not measured for every method.
fn plot(parts: &Parts<'_>) -> Option<String> {
    let standings = &parts.ranking?.standings;
    let seconds = |method: &str| parts.costs.get(method).map(costs::Cost::step);
    let operations = |method: &str| {
        let outcome = parts.results.cells.iter().filter(|it| it.cell.key.method == method).find_map(|it| it.outcome());
        outcome.and_then(|outcome| outcome.operations_per_token).map(|operations| operations / 1e6)
    };
    let is_measured = standings.iter().all(|standing| seconds(&standing.method).is_some());
    let point = |standing: &super::judgement::Standing| {
        let method = &standing.method;
        let x = if is_measured { seconds(method) } else { operations(method) }?;
        let name = parts.results.definitions.methods.get(method).map_or_else(|| method.clone(), |known| known.name());
        Some(Point { name, x, y: standing.mean, interval: standing.interval })
    };
    let points: Vec<Point> = standings.iter().filter_map(point).collect();
    let x = if is_measured { "seconds of a step of 16 x 64 tokens" } else { "MFLOP a token of training" };
    Some(scatter("Accuracy and cost", x, "mean accuracy (%), 95 %", &points))
}

/// `report.json`: everything that the text says, as data. Accuracies and differences are in percent.
fn json(parts: &Parts<'_>) -> Value {
    let comparison = parts.comparison;
    let cells = comparison.rows().into_iter().flat_map(|method| {
        comparison.benchmarks.iter().filter_map(move |benchmark| {
            let it = parts.grid.summary(&method, benchmark)?;
            Some(json!({
                "method": method,
                "benchmark": benchmark,
                "mean": it.mean,
                "standard_error_over_seeds": it.over_seeds,
                "standard_error_over_items": it.over_items,
                "seeds": it.seeds,
                "items": it.items,
            }))
        })
    });
    let of_each = |value: &Reached| value.0.iter().map(|trial| trial.accuracy()).collect::<Vec<_>>();
    let rates = parts.choices.iter().map(|(method, choice)| {
        json!({
            "method": method,
            "accuracies": choice.values.iter().map(|value| value.mean().accuracy()).collect::<Vec<_>>(),
            "of_each_benchmark": choice.values.iter().map(of_each).collect::<Vec<_>>(),
            "chosen": choice.best.map(|best| comparison.rates.values[best]),
            "at_the_edge": choice.is_at_the_edge(),
        })
    });
    let learned = parts.learned.iter().map(
        |it| json!({ "benchmark": it.benchmark, "untrained": it.untrained, "above": it.above, "others": it.others }),
    );
    let groups = comparison.groups.iter().zip(parts.judgements).map(|(group, judgements)| {
        let judgements = judgements.iter().map(|it| {
            json!({
                "method": it.method,
                "benchmark": it.benchmark,
                "difference": it.difference,
                "interval": [it.interval.0, it.interval.1],
                "seeds": it.seeds,
                "test": it.test(),
                "p": it.p,
                "p_corrected": it.adjusted,
                "words": it.words(),
            })
        });
        json!({
            "title": group.title,
            "baseline": group.baseline,
            "comparisons": judgements.collect::<Vec<_>>(),
        })
    });
    let ranking = parts.ranking.map(|ranking| {
        let standings = ranking.standings.iter().map(|it| {
            json!({
                "method": it.method,
                "mean": it.mean,
                "interval": [it.interval.0, it.interval.1],
                "ranks": [it.ranks.0, it.ranks.1],
                "best": it.best,
            })
        });
        json!({ "benchmarks": ranking.benchmarks, "methods": standings.collect::<Vec<_>>() })
    });
    json!({
        "rates": { "values": comparison.rates.values, "methods": rates.collect::<Vec<_>>() },
        "accuracy": cells.collect::<Vec<_>>(),
        "learned": learned.collect::<Vec<_>>(),
        "groups": groups.collect::<Vec<_>>(),
        "ranking": ranking,
        "costs": parts.costs,
    })
}
