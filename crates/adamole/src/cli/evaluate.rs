//! `adamole evaluate`.

use super::{
    Failure,
    inputs::{Base, adapter_folder, workers},
    output::{Format, duration, percent, print, size},
};
use adamole::{
    data::{Benchmark, Split},
    device,
    llama::{Precision, load_adapter},
    train::{Evaluation, Workers, evaluate, peak_memory_bytes},
};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct EvaluateArguments {
    /// Base model: a Hugging Face folder, or org/name[@revision] in the local cache
    #[arg(long)]
    model: String,
    /// Adapter folder, or the folder of a run; the base alone without it
    #[arg(long)]
    adapter: Option<PathBuf>,
    /// Folder of the benchmark
    #[arg(long)]
    data: PathBuf,
    /// Benchmark, by name
    #[arg(long)]
    benchmark: String,
    /// train, validation or test
    #[arg(long, default_value = "validation")]
    split: String,
    /// Use the first N items only
    #[arg(long)]
    limit: Option<usize>,
    /// Longest text in tokens; longer prompts lose their beginning
    #[arg(long, default_value_t = 256)]
    max_tokens: usize,
    /// Type of the frozen weights: float32, bfloat16 or float16
    #[arg(long, default_value = "float32")]
    dtype: Precision,
    /// auto, cpu, wgpu, vulkan, cuda or cuda:INDEX
    #[arg(long, default_value = "auto")]
    device: String,
    /// Batches side by side [the number of cores on the CPU, 1 on a GPU]
    #[arg(long)]
    workers: Option<usize>,
    /// Write each item's scores to this JSON Lines file
    #[arg(long)]
    predictions: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Serialize)]
struct Report {
    benchmark: &'static str,
    split: Split,
    accuracy: f64,
    choice_loss: f64,
    items: usize,
    correct: usize,
    /// Of always giving the most frequent answer.
    majority_accuracy: f64,
    truncated_items: usize,
    mean_active_experts: Option<f64>,
    mean_active_experts_per_site: Vec<f64>,
    seconds: f64,
    tokens_per_second: f64,
    peak_memory_bytes: Option<u64>,
}

pub(crate) fn run(arguments: EvaluateArguments) -> Result<(), Failure> {
    let benchmark = Benchmark::by_name(&arguments.benchmark)?;
    let split: Split = arguments.split.parse()?;
    let device = device::open(&arguments.device)?;
    let mut base = Base::load(&arguments.model, arguments.dtype, &device)?;
    if let Some(adapter) = &arguments.adapter {
        load_adapter(&mut base.model, &adapter_folder(adapter))?;
    }
    let examples = base.examples(benchmark, &arguments.data, split, arguments.limit, arguments.max_tokens)?;
    let workers = Workers::new(workers(arguments.workers, &arguments.device));
    let evaluation = evaluate(&base.model, &examples, &workers, &device);
    if let Some(path) = &arguments.predictions {
        write_predictions(&evaluation, path)?;
    }
    let report = Report {
        benchmark: benchmark.name,
        split,
        accuracy: evaluation.accuracy,
        choice_loss: evaluation.choice_loss,
        items: evaluation.items,
        correct: evaluation.correct,
        majority_accuracy: evaluation.majority_accuracy,
        truncated_items: examples.iter().filter(|example| example.truncated).count(),
        mean_active_experts: evaluation.mean_active_experts,
        mean_active_experts_per_site: evaluation.routing.mean_active_per_site(),
        seconds: evaluation.seconds,
        tokens_per_second: evaluation.tokens as f64 / evaluation.seconds,
        peak_memory_bytes: peak_memory_bytes(),
    };
    print(arguments.format, &report, || text(&report));
    Ok(())
}

fn write_predictions(evaluation: &Evaluation, path: &std::path::Path) -> Result<(), Failure> {
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
