//! `adamole bench step`.

use super::{Failure, MethodName, Subject, median, profile, profile::Profile, roofline, training::Training};
use crate::cli::output::{print, size};
use adamole::{
    data::LabelScope,
    train::{Cost, matmul_peak, peak_memory_bytes},
};
use burn::tensor::Device;
use clap::Args;
use serde::Serialize;
use std::time::Instant;

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole bench step --shape smollm2-135m --method lora --rank 32
  adamole bench step --shape smollm2-135m --device cuda --dtype bfloat16 --profile";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StepArguments {
    #[command(flatten)]
    pub(super) subject: Subject,
    /// Sequences in the batch
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub(super) batch: usize,
    /// Tokens of each sequence
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(super) tokens: usize,
    /// Sequences of a micro-batch [the batch, divided among the workers]
    #[arg(long, value_name = "N")]
    pub(super) micro_batch: Option<usize>,
    /// Label scope: text or answer
    #[arg(long, default_value = "text")]
    pub(super) labels: LabelScope,
    /// Activation checkpointing: recompute activations in the backward pass
    #[arg(long)]
    pub(super) checkpoint_blocks: bool,
    /// Steps that are timed
    #[arg(long, value_name = "N", default_value_t = 5)]
    steps: usize,
    /// Steps before the timed ones, in which a GPU compiles and tunes its kernels
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) warm_up: usize,
    /// Count what a step asks of a GPU in place of timing it: launches of kernels, and bytes from the shapes of tensors
    #[arg(long)]
    profile: bool,
    /// Predict the time of a step of the whole --shape on known GPUs, from counts of its first layers
    #[arg(long, conflicts_with_all = ["model", "micro_batch"])]
    roofline: bool,
    /// With --roofline, count models of 1/16 to 4/16 of the widths, for a device that cannot hold whole layers
    #[arg(long, requires = "roofline")]
    pub(super) narrow: bool,
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
    /// What [`MemoryEstimate`](adamole::train::MemoryEstimate) expects of the peak.
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
    let StepArguments { batch: rows, tokens, steps, warm_up, .. } = *arguments;
    let subject = &arguments.subject;
    if rows == 0 || tokens < 2 || steps == 0 {
        return Err(Failure::Usage("--batch and --steps have to be at least 1, --tokens at least 2".into()));
    }
    if arguments.roofline {
        return roofline::run(arguments);
    }
    let device = subject.place.device()?;
    if arguments.profile {
        return profiled(arguments, &device.autodiff());
    }
    let peak = matmul_peak(&subject.place.workers(&device), &device, subject.weights.0.dtype);
    let device = device.autodiff();
    let mut training = Training::new(arguments, subject.load(&device)?, &device);
    let memory_estimate = training.memory_estimate(arguments);
    let (mut seconds, mut task_loss, mut warm_device_memory_bytes) = (Vec::new(), 0.0, None);
    for step in 0..warm_up + steps {
        let started = Instant::now();
        task_loss = training.step()?;
        seconds.push(started.elapsed().as_secs_f64());
        if step <= warm_up {
            warm_device_memory_bytes = training.device_memory_bytes();
        }
    }
    let warm_up_seconds = seconds.drain(..warm_up).sum();
    let (fastest, slowest) = seconds.iter().fold((f64::MAX, 0.0), |(low, high), s| (s.min(low), s.max(high)));
    let seconds_per_step = median(&seconds);
    let operations = Cost::of(&training.model).step(rows, tokens, training.labels());
    let report = Report {
        method: subject.adapter.0.method,
        batch: rows,
        micro_batch: training.micro_batch(),
        tokens,
        threads: training.workers.count(),
        warm_up_seconds,
        seconds_per_step,
        fastest,
        slowest,
        tokens_per_second: (rows * tokens) as f64 / seconds_per_step,
        peak_memory_bytes: peak_memory_bytes(),
        device_memory_bytes: training.device_memory_bytes(),
        warm_device_memory_bytes,
        memory_estimate_bytes: memory_estimate.total(),
        gigaflop: operations / 1e9,
        matmul_peak_gigaflop_per_second: peak / 1e9,
        share_of_matmul_peak: operations / seconds_per_step / peak,
        task_loss,
    };
    print(subject.place.format, &report, || text(&report))
}

/// What a step asks of a device.
#[derive(Serialize)]
struct Profiled {
    method: MethodName,
    batch: usize,
    micro_batch: usize,
    tokens: usize,
    #[serde(flatten)]
    profile: Profile,
    /// Peak of the device's own memory.
    device_memory_bytes: Option<u64>,
    /// What [`MemoryEstimate`](adamole::train::MemoryEstimate) expects of it.
    memory_estimate_bytes: u64,
}

fn profiled(arguments: &StepArguments, device: &Device) -> Result<(), Failure> {
    let subject = &arguments.subject;
    let mut training = Training::new(arguments, subject.load(device)?, device);
    let profile = profile::of_step(&mut training, arguments.warm_up)?;
    let report = Profiled {
        method: subject.adapter.0.method,
        batch: arguments.batch,
        micro_batch: training.micro_batch(),
        tokens: arguments.tokens,
        profile,
        device_memory_bytes: training.device_memory_bytes(),
        memory_estimate_bytes: training.memory_estimate(arguments).total(),
    };
    print(subject.place.format, &report, || {
        let [held, expected] = [report.device_memory_bytes, Some(report.memory_estimate_bytes)].map(size);
        format!("{}\n\nmemory of the device {held}, {expected} estimated", report.profile.text())
    })
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
