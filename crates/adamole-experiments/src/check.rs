//! The checks of `--check`.

use crate::{
    claims::{Finding, Verdict, findings},
    experiment::{Kind, Metric},
    method::Source,
    results::{Entry, Results, mean},
};
use std::collections::BTreeMap;

/// The faults of a report; empty if it is complete. Which method wins is not checked.
pub(crate) fn faults(results: &Results<'_>) -> Vec<String> {
    let mut faults: Vec<String> =
        results.failures().map(|(planned, _)| format!("{} failed", planned.cell.key.id())).collect();
    faults.extend(results.missing().map(|planned| format!("{} has not been run", planned.cell.key.id())));
    for experiment in results.definitions.experiments.iter().filter(|experiment| experiment.kind == Kind::Table) {
        for (row, column) in
            experiment.all_rows().flat_map(|row| experiment.columns.iter().map(move |column| (row, column)))
        {
            let there = !results.of_entry(experiment, column, row).is_empty();
            let entry = results.entry(experiment, column, row, experiment.metric);
            let is_trained = results.definitions.methods.get(row).is_some_and(|m| m.source == Source::Trained);
            if there && (is_trained || experiment.metric == Metric::Accuracy) && !matches!(entry, Entry::Value(_)) {
                faults.push(format!("{}: {row} lacks {}", experiment.name(), column.id));
            }
        }
    }
    let failed = |finding: &Finding| finding.is_structural && finding.state != Verdict::Holds;
    let all = findings(results).into_iter().chain(gains(results)).filter(failed);
    faults.extend(
        all.map(|Finding { of, says, numbers, state, .. }| format!("{of}: {says}: {}: {numbers}", state.words())),
    );
    faults
}

/// The gains over the untuned base that the preset requires, in the mean over all benchmarks of the first model.
pub(crate) fn gains(results: &Results<'_>) -> Vec<Finding> {
    let preset = &results.definitions.preset;
    let gained = |method: &String| {
        // Several tables have the same benchmark, whose cell is the same.
        let mut gains: BTreeMap<&str, Option<f64>> = BTreeMap::new();
        for experiment in &results.definitions.experiments {
            let of_all =
                experiment.kind == Kind::Table && experiment.model == "base" && experiment.rows.contains(method);
            // A column with settings of its own is another cell.
            for column in experiment.columns.iter().filter(|column| of_all && column.is_benchmark()) {
                let tuned = results.score(experiment, column, method, Metric::Accuracy);
                let untuned = results.of_base(experiment, column, Source::Untuned);
                gains.insert(&column.benchmark, tuned.zip(untuned).map(|(tuned, untuned)| tuned.mean - untuned.mean));
            }
        }
        let known: Option<Vec<f64>> = gains.into_values().collect();
        let mean = known.filter(|gains| !gains.is_empty()).map(|gains| mean(&gains));
        let least = 100.0 * preset.check.mean_gain;
        Finding {
            of: "Training".into(),
            says: format!(
                "{method} gains at least {least:.1} points over the untuned base, the mean of all benchmarks"
            ),
            numbers: mean.map(|mean| format!("{mean:.1}")).unwrap_or_default(),
            state: match mean {
                None => Verdict::NotRun,
                Some(mean) if mean >= least => Verdict::Holds,
                Some(_) => Verdict::DoesNotHold,
            },
            is_structural: true,
        }
    };
    preset.check.methods.iter().map(gained).collect()
}
