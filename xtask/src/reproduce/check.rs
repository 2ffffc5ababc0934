//! What a report has to hold, and what the paper itself says that must come out.

use super::{
    definition::{Experiment, Kind, Metric, Source},
    results::{Entry, Results},
};

/// Experts that may still fire where the paper's collapse is.
const COLLAPSED: f64 = 0.1;

/// A statement about the results.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) says: String,
    /// `None` while results are missing.
    pub(crate) holds: Option<bool>,
}

/// What the paper says of the order of active experts, wherever the preset has the methods.
pub(crate) fn sanity(results: &Results<'_>) -> Vec<Finding> {
    let experiments = results.definitions.of_preset();
    experiments.flat_map(|experiment| of_experiment(results, experiment)).collect()
}

fn of_experiment(results: &Results<'_>, experiment: &Experiment) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(benchmark) = experiment.benchmarks.first() else { return findings };
    let there = |method: &str| !results.of_row(experiment, benchmark, method).is_empty();
    let active = |method: &str| results.mean(experiment, benchmark, method, Metric::Active);
    let label = |method: &str| {
        let row = experiment.rows.iter().find(|row| row.method == method);
        row.and_then(|row| row.label.clone()).unwrap_or_else(|| method.to_owned())
    };
    let shown = |value: Option<f64>| value.map_or_else(|| "not run".into(), |value| format!("{value:.2}"));
    let order: Vec<&String> = experiment.descending.iter().filter(|method| there(method)).collect();
    if order.len() > 1 {
        let values: Vec<Option<f64>> = order.iter().map(|method| active(method)).collect();
        let parts: Vec<String> =
            order.iter().zip(&values).map(|(method, value)| format!("{} {}", label(method), shown(*value))).collect();
        findings.push(Finding {
            says: format!("{}: active experts fall with the threshold: {}", experiment.name(), parts.join(" > ")),
            holds: falls(&values),
        });
    }
    if let Some(method) = experiment.collapsed.as_ref().filter(|method| there(method)) {
        let accuracy = |method: &str| {
            let mean = results.mean(experiment, benchmark, method, Metric::Accuracy);
            mean.map_or_else(|| "not run".into(), |mean| format!("{mean:.1}"))
        };
        findings.push(Finding {
            says: format!(
                "{}: at {} experts collapse: {} active, accuracy {}, untuned base {}",
                experiment.name(),
                label(method),
                shown(active(method)),
                accuracy(method),
                accuracy("untuned"),
            ),
            holds: active(method).map(|active| active < COLLAPSED),
        });
    }
    findings
}

fn falls(values: &[Option<f64>]) -> Option<bool> {
    let known: Option<Vec<f64>> = values.iter().copied().collect();
    known.map(|values| values.windows(2).all(|pair| pair[0] > pair[1]))
}

/// What is wrong with the report; nothing where it is whole.
pub(crate) fn faults(results: &Results<'_>) -> Vec<String> {
    let mut faults: Vec<String> =
        results.failures().map(|(planned, _)| format!("{} failed", planned.cell.key.id())).collect();
    faults.extend(results.missing().map(|planned| format!("{} has not been run", planned.cell.key.id())));
    for experiment in results.definitions.of_preset().filter(|experiment| experiment.kind == Kind::Table) {
        for (row, column) in
            experiment.rows.iter().flat_map(|row| experiment.columns().map(move |column| (row, column)))
        {
            let is_trained = results.definitions.methods.get(&row.method).is_some_and(|m| m.source == Source::Trained);
            let expected = (is_trained || column.metric == Metric::Accuracy)
                && results.definitions.has_method(&row.method)
                && results.definitions.preset.benchmarks.contains_key(&column.benchmark);
            let entry = results.entry(experiment, &column.benchmark, &row.method, column.metric);
            if expected && !matches!(entry, Entry::Values(_)) {
                faults.push(format!(
                    "{}: {} lacks {} of {}",
                    experiment.name(),
                    row.method,
                    column.id,
                    column.benchmark
                ));
            }
        }
    }
    let failed = |finding: &Finding| finding.holds != Some(true);
    faults.extend(sanity(results).into_iter().filter(failed).map(|finding| format!("does not hold: {}", finding.says)));
    faults.extend(gains(results).into_iter().filter(failed).map(|finding| format!("does not hold: {}", finding.says)));
    faults
}

/// What the preset asks of training: a gain over the untuned base, the mean over all benchmarks of the first model.
pub(crate) fn gains(results: &Results<'_>) -> Vec<Finding> {
    let preset = &results.definitions.preset;
    let gained = |method: &String| {
        let mut gains = Vec::new();
        for experiment in results.definitions.of_preset().filter(|experiment| experiment.kind == Kind::Table) {
            let has_both = |name: &str| experiment.rows.iter().any(|row| row.method == name);
            if experiment.model != "base" || experiment.metrics.len() > 1 || !has_both(method) || !has_both("untuned") {
                continue;
            }
            for benchmark in experiment.benchmarks.iter().filter(|name| preset.benchmarks.contains_key(*name)) {
                let accuracy = |method: &str| results.mean(experiment, benchmark, method, Metric::Accuracy);
                gains.push(accuracy(method).zip(accuracy("untuned")).map(|(tuned, untuned)| tuned - untuned));
            }
        }
        let known: Option<Vec<f64>> = gains.into_iter().collect();
        let mean = known.filter(|gains| !gains.is_empty()).map(|gains| super::results::mean(&gains));
        let least = 100.0 * preset.check.mean_gain;
        let shown = mean.map(|mean| format!(": {mean:.1}")).unwrap_or_default();
        Finding {
            says: format!(
                "{method} gains at least {least:.1} points over the untuned base, the mean of all benchmarks{shown}"
            ),
            holds: mean.map(|mean| mean >= least),
        }
    };
    preset.check.methods.iter().map(gained).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_strict_and_unknown_while_values_are_missing() {
        assert_eq!(falls(&[Some(7.9), Some(6.0), Some(4.1)]), Some(true));
        assert_eq!(falls(&[Some(7.9), Some(6.0), Some(6.0)]), Some(false));
        assert_eq!(falls(&[Some(4.0), Some(6.0)]), Some(false));
        assert_eq!(falls(&[Some(7.9), None]), None);
    }
}
