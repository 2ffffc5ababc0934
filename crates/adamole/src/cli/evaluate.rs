//! `adamole evaluate`.

use super::{
    Failure,
    fingerprint::Fingerprint,
    headings,
    inputs::{Base, warn_beyond_positions},
    output::{Format, duration, percent, print, size},
    own_text::{DataFlags, Described},
    ranks::Crew,
    reading::Items,
    routing, routing_facts,
    settings::Flags,
    weights::WeightFlags,
};
mod answers;
mod texts;

use adamole::{
    data::{Example, MultipleChoice, ReadReport, SplitItems, SplitPart},
    device,
    train::{Evaluation, evaluate, peak_memory_bytes},
};
use burn::tensor::Device;
use clap::Args;
use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole evaluate --model HuggingFaceTB/SmolLM2-135M --adapter runs/copa --benchmark copa
  adamole evaluate --model HuggingFaceTB/SmolLM2-135M --adapter runs/copa --benchmark rte
  adamole evaluate --model HuggingFaceTB/SmolLM2-135M-Instruct --data test.jsonl --generate";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EvaluateArguments {
    /// Base model: a Hugging Face folder, or org/name[@revision] on the hub
    #[arg(long, help_heading = headings::RUN)]
    model: String,
    /// Adapter: a folder, a run directory, or org/name on the hub [the base alone]
    #[arg(long, value_name = "NAME", help_heading = headings::RUN)]
    adapter: Option<String>,
    #[command(flatten)]
    data: Flags<DataFlags>,
    /// Split: train, validation or test, or a part of one, such as test[:200]
    ///
    /// Other parts are train[200:] and train[200:250].
    #[arg(long, help_heading = headings::DATA, default_value = "validation")]
    split: SplitPart,
    /// Use the first N items only
    #[arg(long, value_name = "N", help_heading = headings::DATA)]
    limit: Option<usize>,
    #[command(flatten)]
    answers: answers::AnswerFlags,
    #[command(flatten)]
    weights: WeightFlags,
    /// Device: auto, cpu, cuda, vulkan or wgpu
    ///
    /// The last three may have an :INDEX.
    #[arg(long, help_heading = headings::RUN, default_value = "auto")]
    device: String,
    /// Batches computed in parallel [the number of cores on the CPU, 1 on a GPU]
    #[arg(long, value_name = "N", help_heading = headings::RUN)]
    workers: Option<usize>,
    /// Write each item's scores to this JSON Lines file
    #[arg(long, value_name = "FILE", help_heading = headings::OUTPUT)]
    predictions: Option<PathBuf>,
    /// Write the routing statistics of each linear to this JSON file
    ///
    /// They are active experts, load and thresholds, by benchmark.
    #[arg(long, help_heading = headings::OUTPUT, value_name = "FILE")]
    routing: Option<PathBuf>,
    /// Draw the same on an HTML page without external files
    #[arg(long, help_heading = headings::OUTPUT, value_name = "FILE")]
    routing_page: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, help_heading = headings::OUTPUT, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    benchmark: String,
    split: SplitPart,
    accuracy: f64,
    choice_loss: f64,
    items: usize,
    correct: usize,
    /// The accuracy of always giving the most frequent answer.
    majority_accuracy: f64,
    /// The accuracy on each part of a mixture.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<String, f64>,
    truncated_items: usize,
    rows: ReadReport,
    mean_active_experts: Option<f64>,
    mean_active_experts_per_site: Vec<f64>,
    seconds: f64,
    tokens_per_second: f64,
    peak_memory_bytes: Option<u64>,
}

/// What is to be measured, and on what.
struct Ready {
    items: Items,
    read: Vec<MultipleChoice>,
    rows: ReadReport,
    base: Base,
    examples: Vec<Example>,
    device: Device,
}

pub(crate) fn run(arguments: EvaluateArguments, crew: &Crew) -> Result<(), Failure> {
    let split = arguments.split;
    let reading = match arguments.data.0.described()? {
        Described::Benchmark(_) if arguments.answers.generate.is_some() => {
            return Err(Failure::Usage(
                "--generate is for text of one's own; benchmarks are scored by their choices".into(),
            ));
        }
        Described::Benchmark(reading) => reading,
        Described::OwnText(reading, own) => return texts::run(&arguments, &reading, &own, crew),
    };
    let wants_routing = arguments.routing.is_some() || arguments.routing_page.is_some();
    let ready = || {
        let device = device::open(&crew.device(&arguments.device)?)?;
        let items = reading.open()?;
        let SplitItems { items: read, report: rows } = items.read_labelled(split.limited(arguments.limit))?;
        let adapter = arguments.adapter.as_deref();
        let base = Base::load_with(&arguments.model, adapter, arguments.weights, &device)?;
        if wants_routing && base.model.routed().is_empty() {
            let what = arguments.adapter.as_deref().unwrap_or("the base alone");
            return Err(Failure::Usage(format!("{what} has no router, so there are no routing statistics")));
        }
        let examples = base.encode(&items, split.split, &read)?;
        Ok(Ready { items, read, rows, base, examples, device })
    };
    let same = |ready: &Ready| Fingerprint::of(&ready.base.folder, &[&ready.examples[..]]);
    let Ready { items, read, rows, base, examples, device } = crew.agree(ready(), same, Fingerprint::changes_since)?;
    warn_beyond_positions(base.model.config(), examples.iter().map(|example| example.prompt.len()));
    let workers = crew.workers(arguments.workers, device::is_cpu(&device));
    let evaluation = evaluate(&base.model, &examples, &workers, &device)?;
    if !crew.is_first() && !wants_routing {
        return Ok(());
    }
    if let Some(path) = arguments.predictions.as_ref().filter(|_| crew.is_first()) {
        write_predictions(&evaluation, path)?;
    }
    let of_parts = || routing::by_benchmark(&base.model, (&read, &examples), &evaluation, (&workers, &device));
    let analyses = wants_routing.then(of_parts).transpose()?;
    if !crew.is_first() {
        return Ok(());
    }
    let report = Report {
        benchmark: items.benchmark.name().to_owned(),
        split,
        accuracy: evaluation.accuracy,
        choice_loss: evaluation.choice_loss,
        items: evaluation.items,
        correct: evaluation.correct,
        majority_accuracy: evaluation.majority_accuracy,
        parts: accuracy_of_parts(&evaluation, &read),
        rows,
        truncated_items: examples.iter().filter(|example| example.truncated).count(),
        mean_active_experts: evaluation.mean_active_experts,
        mean_active_experts_per_site: evaluation.routing.mean_active_per_layer(),
        seconds: evaluation.seconds,
        tokens_per_second: evaluation.tokens as f64 / evaluation.seconds,
        peak_memory_bytes: peak_memory_bytes(),
    };
    if let Some(analyses) = analyses {
        let mut about = routing_facts::of_model(&arguments.model, arguments.adapter.as_deref(), &base.model);
        about.push(("Data", format!("{}, {} {} items", report.benchmark, report.items, report.split)));
        let majority = percent(report.majority_accuracy);
        let accuracy = percent(report.accuracy);
        about.push(("Result", format!("accuracy {accuracy}; {majority} with the most frequent answer")));
        routing::write(&analyses, &about, (arguments.routing.as_deref(), arguments.routing_page.as_deref()))?;
    }
    print(arguments.format, &report, || text(&report))
}

/// The accuracy on each benchmark of a mixture; empty for a single benchmark.
fn accuracy_of_parts(evaluation: &Evaluation, items: &[MultipleChoice]) -> BTreeMap<String, f64> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for prediction in &evaluation.predictions {
        let (correct, all) = counts.entry(&items[prediction.item].benchmark).or_default();
        *correct += usize::from(prediction.answer == Some(prediction.predicted));
        *all += 1;
    }
    let share = |(name, (correct, all)): (&str, (usize, usize))| (name.to_owned(), correct as f64 / all as f64);
    if counts.len() > 1 { counts.into_iter().map(share).collect() } else { BTreeMap::new() }
}

/// Writes each item's scores, a line of JSON each.
pub(super) fn write_predictions(evaluation: &Evaluation, path: &std::path::Path) -> Result<(), Failure> {
    let lines: Result<Vec<String>, _> = evaluation.predictions.iter().map(serde_json::to_string).collect();
    lines
        .map_err(std::io::Error::from)
        .and_then(|lines| std::fs::write(path, lines.join("\n") + "\n"))
        .map_err(|source| Failure::Train(adamole::train::TrainError::Io { path: path.to_owned(), source }))
}

fn text(report: &Report) -> String {
    let active = report.mean_active_experts.map(|mean| format!(", {mean:.2} experts active")).unwrap_or_default();
    format!(
        "{}: accuracy {} on {} {} items{active}\n{} at {:.0} tokens/s, peak memory {}",
        report.benchmark,
        percent(report.accuracy),
        report.items,
        report.split,
        duration(report.seconds),
        report.tokens_per_second,
        size(report.peak_memory_bytes),
    )
}
