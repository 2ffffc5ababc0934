//! The report as JSON.

use crate::{
    claims::Finding,
    experiment::{Experiment, Kind},
    figure::panels,
    results::{Entry, Results},
};
use serde_json::{Value, json};

/// `report.json`: tables with the paper's values, the points of the figures, and the claims. Values that were not run, or are not in the
/// paper, are null. Accuracies are in percent.
pub(crate) fn report(results: &Results<'_>, preset: &str, findings: &[Finding]) -> Value {
    let experiments = &results.definitions.experiments;
    let of_kind = |is_table: bool| experiments.iter().filter(move |known| (known.kind == Kind::Table) == is_table);
    let claims = findings.iter().map(|finding| {
        json!({
            "of": finding.of,
            "says": finding.says,
            "state": finding.state.words(),
            "numbers": finding.numbers,
            "structural": finding.is_structural,
        })
    });
    json!({
        "preset": preset,
        "tables": of_kind(true).map(|experiment| table(results, experiment)).collect::<Vec<_>>(),
        "figures": of_kind(false).map(|experiment| figure(results, experiment)).collect::<Vec<_>>(),
        "claims": claims.collect::<Vec<_>>(),
    })
}

fn table(results: &Results<'_>, experiment: &Experiment) -> Value {
    let in_paper = results.definitions.paper.contains_key(&experiment.id);
    let row = |(place, method): (usize, &String)| {
        let known = results.definitions.methods.get(method);
        let cells = experiment.columns.iter().map(|column| {
            let cells = results.of_entry(experiment, column, method);
            let ids: Vec<String> = cells.iter().map(|planned| planned.cell.key.id()).collect();
            let score = match results.entry(experiment, column, method, experiment.metric) {
                Entry::Value(score) => Some(score),
                _ => None,
            };
            json!({
                "mean": score.as_ref().map(|score| score.mean),
                "spread": score.as_ref().and_then(|score| score.spread),
                "seeds": score.as_ref().map(|score| score.seeds),
                "items": score.as_ref().and_then(|score| score.items),
                "standard_error": score.as_ref().and_then(|score| score.standard_error),
                "paper": results.definitions.printed(experiment, &column.id, method),
                "cells": ids,
            })
        });
        json!({
            "model": known.map(|known| &known.model),
            "gating": known.map(|known| &known.gating),
            "ours": !in_paper || place >= experiment.rows.len(),
            "cells": cells.collect::<Vec<_>>(),
        })
    };
    json!({
        "id": experiment.id,
        "caption": experiment.caption,
        "metric": experiment.metric,
        "columns": experiment.columns.iter().map(|column| &column.id).collect::<Vec<_>>(),
        "rows": experiment.all_rows().enumerate().map(row).collect::<Vec<_>>(),
    })
}

fn figure(results: &Results<'_>, experiment: &Experiment) -> Value {
    let panels = panels(results, experiment).into_iter().map(|panel| {
        let lines = panel.curves.into_iter().map(|curve| {
            let known = results.definitions.methods.get(&curve.method);
            let points = curve.points.iter().map(|(layer, active)| json!({"layer": layer, "active_experts": active}));
            let points: Vec<Value> = points.collect();
            json!({
                "model": known.map(|known| &known.model),
                "gating": known.map(|known| &known.gating),
                "projection": curve.projection,
                "points": (!points.is_empty()).then_some(points),
                "cells": curve.cells,
            })
        });
        json!({"benchmark": panel.benchmark, "lines": lines.collect::<Vec<_>>()})
    });
    json!({"id": experiment.id, "caption": experiment.caption, "panels": panels.collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definitions;

    #[test]
    fn every_printed_number_is_in_it_once_and_what_was_not_run_is_null() -> Result<(), crate::TestError> {
        let definitions = Definitions::read("smollm2", None)?;
        let results = Results { definitions: &definitions, cells: &[], seeds: &[0] };
        let report = report(&results, "smollm2", &[]);
        let tables = report["tables"].as_array().ok_or("tables")?;
        let mut printed = 0;
        for table in tables {
            let id = table["id"].as_str().ok_or("id")?;
            let paper = definitions.paper.get(id).ok_or("a table that the paper does not have")?;
            for row in table["rows"].as_array().into_iter().flatten() {
                let (model, gating) = (row["model"].as_str().ok_or("model")?, row["gating"].as_str().ok_or("gating")?);
                for (column, cell) in
                    table["columns"].as_array().into_iter().flatten().zip(row["cells"].as_array().into_iter().flatten())
                {
                    let expected = paper.value(model, gating, column.as_str().ok_or("column")?);
                    let expected = expected.filter(|_| row["ours"] == false);
                    assert_eq!(cell["paper"].as_f64(), expected, "{id} {model} {gating}");
                    assert!(cell["mean"].is_null() && cell["seeds"].is_null(), "{cell}");
                    printed += usize::from(expected.is_some());
                }
            }
        }
        assert_eq!((tables.len(), printed), (7, 132));
        assert_eq!(report["figures"].as_array().map(Vec::len), Some(2));
        Ok(())
    }
}
