//! The sections of a report about its runs.

use crate::{
    dry_run::duration,
    outcome::{Environment, Outcome, Training},
    preset::Model,
    results::Results,
    table::{percent, row_of},
};
use std::collections::BTreeMap;

/// The table of models, machines and dates.
pub(crate) fn environment(results: &Results<'_>, command: &str) -> String {
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

/// The number of reported items of each benchmark, and the standard error of an accuracy.
pub(crate) fn sampling(results: &Results<'_>) -> String {
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

/// The models and benchmarks that the preset does not have, with reasons.
pub(crate) fn left_out(results: &Results<'_>) -> String {
    let left_out = &results.definitions.preset.left_out;
    if left_out.is_empty() {
        return String::new();
    }
    let line =
        |(name, reason): (&String, &String)| format!("- {}: {reason}", results.definitions.benchmark_title(name));
    format!("\nNot in this preset:\n\n{}\n", left_out.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// The table of all runs.
pub(crate) fn all(results: &Results<'_>) -> String {
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
        let number =
            |value: Option<f64>, digits: usize| value.map_or("–".into(), |value| format!("{value:.digits$}"));
        let of = |show: &dyn Fn(&Training) -> String| numbers.training.as_ref().map_or_else(|| "–".into(), show);
        let gibibytes = |bytes: u64| format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30));
        let cells = [
            percent(numbers.accuracy),
            numbers.reference_accuracy.map_or_else(|| "–".into(), percent),
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

/// The settings of the preset.
pub(crate) fn settings(results: &Results<'_>) -> String {
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
