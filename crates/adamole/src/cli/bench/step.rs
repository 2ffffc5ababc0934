//! `adamole bench step`.

use super::{Failure, MethodName, Subject, median, random_ids};
use crate::cli::{
    memory,
    output::{print, size},
};
use adamole::{
    data::{Batch, Buckets, Collation, Example, LabelScope, Layout, Padding},
    device::is_cpu,
    llama::CausalLm,
    train::{
        AdamW, AdamWSettings, BatchShape, Cost, MemoryEstimate, Recipe, Replicas, StepInput, accumulate,
        device_memory_bytes, matmul_peak, peak_memory_bytes,
    },
};
use clap::Args;
use serde::Serialize;
use std::time::Instant;

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole bench step --shape smollm2-135m --method lora --rank 32";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StepArguments {
    #[command(flatten)]
    subject: Subject,
    /// Sequences in the batch
    #[arg(long, value_name = "N", default_value_t = 16)]
    batch: usize,
    /// Tokens of each sequence
    #[arg(long, value_name = "N", default_value_t = 64)]
    tokens: usize,
    /// Sequences of a micro-batch [the batch, divided among the workers]
    #[arg(long, value_name = "N")]
    micro_batch: Option<usize>,
    /// Label scope: text or answer
    #[arg(long, default_value = "text")]
    labels: LabelScope,
    /// Activation checkpointing: recompute activations in the backward pass
    #[arg(long)]
    checkpoint_blocks: bool,
    /// Steps that are timed
    #[arg(long, value_name = "N", default_value_t = 5)]
    steps: usize,
    /// Steps before the timed ones, in which a GPU compiles and tunes its kernels
    #[arg(long, value_name = "N", default_value_t = 1)]
    warm_up: usize,
}

#[derive(Serialize)]
struct Report {
    method: MethodName,
    batch: usize,
    micro_batch: usize,
    tokens: usize,
    threads: usize,
    /// Seconds of the warm-up steps.
    warm_up_seconds: f64,
    seconds_per_step: f64,
    fastest: f64,
    slowest: f64,
    tokens_per_second: f64,
    peak_memory_bytes: Option<u64>,
    /// Peak of a GPU's own memory.
    device_memory_bytes: Option<u64>,
    /// The same after the warm-up steps: later steps should add nothing.
    warm_device_memory_bytes: Option<u64>,
    /// What [`MemoryEstimate`] expects of the peak.
    memory_estimate_bytes: u64,
    /// Operations of the step's matrix products.
    gigaflop: f64,
    /// The machine's peak on matrix products.
    matmul_peak_gigaflop_per_second: f64,
    /// The share of it that the step reaches.
    share_of_matmul_peak: f64,
    task_loss: f64,
}

pub(crate) fn run(arguments: &StepArguments) -> Result<(), Failure> {
    let StepArguments { batch: rows, tokens, steps, warm_up, labels, .. } = *arguments;
    let subject = &arguments.subject;
    if rows == 0 || tokens < 2 || steps == 0 {
        return Err(Failure::Usage("--batch and --steps have to be at least 1, --tokens at least 2".into()));
    }
    let device = subject.place.device()?;
    let workers = subject.place.workers(&device);
    let peak = matmul_peak(&workers, &device, subject.weights.0.dtype);
    let device = device.autodiff();
    let mut model = subject.load(&device)?;
    let cost = Cost::of(&model);
    let micro_batch = arguments.micro_batch.unwrap_or(rows.div_ceil(workers.count())).clamp(1, rows);
    let batches = batches(rows, tokens, micro_batch, labels, model.config().vocab_size);
    let recipe = Recipe { checkpoint_blocks: arguments.checkpoint_blocks, ..Recipe::default() };
    let (mut optimizer, replicas) = (AdamW::new(AdamWSettings::default()), Replicas::default());
    let memory_estimate = estimate(arguments, &model, &batches, workers.count());
    let (mut seconds, mut task_loss, mut warm_device_memory_bytes) = (Vec::new(), 0.0, None);
    for step in 0..warm_up + steps {
        let started = Instant::now();
        let input = StepInput { batches: &batches, step, recipe: &recipe };
        let outcome = accumulate(&model, input, &workers, &replicas)?;
        let applied = optimizer.step(1e-4, &mut model, outcome.gradients, &outcome.routing);
        applied.map_err(|error| error.in_step(step, step))?;
        task_loss = outcome.task_loss;
        // A GPU may still be at the optimizer's last operations.
        let _ = device.sync();
        seconds.push(started.elapsed().as_secs_f64());
        if step <= warm_up {
            warm_device_memory_bytes = device_memory_bytes(&device);
        }
    }
    let warm_up_seconds = seconds.drain(..warm_up).sum();
    let label_count = batches.iter().map(|batch| batch.label_positions.len()).sum();
    let (fastest, slowest) = seconds.iter().fold((f64::MAX, 0.0), |(low, high), s| (s.min(low), s.max(high)));
    let seconds_per_step = median(seconds);
    let operations = cost.step(rows, tokens, label_count);
    let report = Report {
        method: subject.adapter.0.method,
        batch: rows,
        micro_batch,
        tokens,
        threads: workers.count(),
        warm_up_seconds,
        seconds_per_step,
        fastest,
        slowest,
        tokens_per_second: (rows * tokens) as f64 / seconds_per_step,
        peak_memory_bytes: peak_memory_bytes(),
        device_memory_bytes: device_memory_bytes(&device),
        warm_device_memory_bytes,
        memory_estimate_bytes: memory_estimate.total(),
        gigaflop: operations / 1e9,
        matmul_peak_gigaflop_per_second: peak / 1e9,
        share_of_matmul_peak: operations / seconds_per_step / peak,
        task_loss,
    };
    print(subject.place.format, &report, || text(&report))
}

/// The memory of a step over these micro-batches, as many at a time as there are workers.
fn estimate(arguments: &StepArguments, model: &CausalLm, batches: &[Batch], workers: usize) -> MemoryEstimate {
    let Subject { weights, .. } = &arguments.subject;
    let together = &batches[..workers.min(batches.len())];
    let sum = |count: fn(&Batch) -> usize| together.iter().map(count).sum();
    let shape = BatchShape {
        tokens: sum(|batch| batch.ids.len()),
        pairs: sum(|batch| batch.ids.len() * batch.cols),
        labels: sum(|batch| batch.label_positions.len()),
        side_by_side: together.len(),
        micro_batches: batches.len(),
        checkpoint_blocks: arguments.checkpoint_blocks,
    };
    let operations = memory::operations(is_cpu(&model.device().inner()));
    MemoryEstimate::of(model.config(), &model.layout(), *weights, shape, operations)
}

/// The batch as micro-batches, of random texts without padding.
pub(super) fn batches(
    rows: usize,
    tokens: usize,
    micro_batch: usize,
    labels: LabelScope,
    vocabulary: usize,
) -> Vec<Batch> {
    let ids = random_ids(rows * tokens, vocabulary);
    let example = |(item, text): (usize, &[u32])| Example {
        text: text.to_vec(),
        answer_at: Some(tokens - 1),
        prompt: text[..tokens - 1].to_vec(),
        choice_ids: vec![0, 1],
        answer: Some(0),
        truncated: false,
        item,
    };
    let examples: Vec<Example> = ids.chunks(tokens).enumerate().map(example).collect();
    let indices: Vec<usize> = (0..rows).collect();
    let buckets = Buckets::fitting(&[tokens], 1);
    let collation = Collation { pad_id: 0, labels, layout: Layout::Padded(Padding::Right) };
    indices.chunks(micro_batch).map(|indices| Batch::of_texts(&examples, indices, collation, &buckets)).collect()
}

fn text(report: &Report) -> String {
    let of_device =
        report.device_memory_bytes.map_or_else(String::new, |bytes| format!(", {} of the device", size(Some(bytes))));
    format!(
        "{:.3} s a step ({:.3} to {:.3}; {:.1} s of warm-up), {:.0} tokens/s on {} threads, peak memory {}{} \
         ({} estimated)\n\
         {:.0} GFLOP a step, {:.0} % of the {:.0} GFLOP/s of plain matrix products",
        report.seconds_per_step,
        report.fastest,
        report.slowest,
        report.warm_up_seconds,
        report.tokens_per_second,
        report.threads,
        size(report.peak_memory_bytes),
        of_device,
        size(Some(report.memory_estimate_bytes)),
        report.gigaflop,
        100.0 * report.share_of_matmul_peak,
        report.matmul_peak_gigaflop_per_second,
    )
}
