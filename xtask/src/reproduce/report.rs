//! The report: what came out, and from what.

use super::{cell::CellResult, experiment::Experiment};
use std::fmt::Write;

/// `0.8125` as `81.2 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

pub(crate) fn markdown(experiment: &Experiment, results: &[CellResult]) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(&mut out, experiment, results);
    out
}

fn write_report(out: &mut String, experiment: &Experiment, results: &[CellResult]) -> std::fmt::Result {
    let methods: Vec<&str> = experiment.methods.iter().map(|method| method.name.as_str()).collect();
    let cell = |benchmark: &str, method: &str| {
        results.iter().find(|result| result.benchmark == benchmark && result.method == method)
    };
    writeln!(out, "# {}\n\n{}\n", experiment.title, experiment.about.trim())?;

    writeln!(out, "## Accuracy on the test split\n")?;
    writeln!(out, "The epoch was chosen on the validation split.\n")?;
    writeln!(out, "| benchmark | items | majority | untuned | {} |", methods.join(" | "))?;
    writeln!(out, "|---|---:|---:|---:|{}", "---:|".repeat(methods.len()))?;
    for benchmark in &experiment.benchmarks {
        let row: Vec<&CellResult> = methods.iter().filter_map(|method| cell(benchmark, method)).collect();
        let first = |key: &str| row.iter().find_map(|result| result.number("untuned", key));
        let items = first("items").map_or("-".into(), |items| items.to_string());
        let accuracies: Vec<Option<f64>> = row.iter().map(|result| result.number("test", "accuracy")).collect();
        let best = accuracies.iter().flatten().copied().fold(f64::MIN, f64::max);
        let shown = accuracies.iter().map(|accuracy| match accuracy {
            None => "failed".into(),
            Some(value) if *value == best => format!("**{}**", percent(*value)),
            Some(value) => percent(*value),
        });
        let shown: Vec<String> = shown.collect();
        let (majority, untuned) = (optional(first("majority_accuracy")), optional(first("accuracy")));
        writeln!(out, "| {benchmark} | {items} | {majority} | {untuned} | {} |", shown.join(" | "))?;
    }

    writeln!(out, "\n## Runs\n")?;
    writeln!(
        out,
        "| benchmark | method | validation accuracy | best epoch | task loss, first and last epoch | balance loss | \
         mean active experts | tokens/s | seconds |"
    )?;
    writeln!(out, "|---|---|---:|---:|---:|---:|---:|---:|---:|")?;
    for result in results {
        let number = |key: &str, digits: usize| {
            result.number("train", key).map_or("-".into(), |value| format!("{value:.digits$}"))
        };
        writeln!(
            out,
            "| {} | {} | {} | {} of {} | {}, {} | {} | {} | {} | {} |",
            result.benchmark,
            result.method,
            optional(result.number("train", "accuracy")),
            number("best_epoch", 0),
            number("epochs", 0),
            number("task_loss_first_epoch", 4),
            number("task_loss_last_epoch", 4),
            number("balance_loss_last_epoch", 2),
            number("mean_active_experts", 2),
            number("tokens_per_second", 0),
            number("seconds", 1),
        )?;
    }

    for result in results {
        if let Some(failure) = &result.failure {
            writeln!(out, "\n### {} on {} failed\n\n```text\n{failure}\n```", result.method, result.benchmark)?;
        }
    }

    writeln!(out, "\n## Settings\n\n```toml\n{}```", experiment.settings)?;
    for method in &experiment.methods {
        writeln!(out, "\n{}:\n\n```toml\n{}```", method.name, method.settings)?;
    }
    Ok(())
}

fn optional(share: Option<f64>) -> String {
    share.map_or("-".into(), percent)
}
