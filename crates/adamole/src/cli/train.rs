//! `adamole train`.

use super::{
    Failure,
    adapter_settings::MethodName,
    compat::{Departure, departures},
    fingerprint::Fingerprint,
    inputs::{Base, workers},
    memory,
    output::{Format, duration, percent, print, size},
    progress::Progress,
    record::Record,
    resume::Begun,
    routing,
    settings::Settings,
    signals::Signals,
};
use adamole::{
    data::{Example, ReadReport, SplitPart},
    device,
    llama::load_adapter,
    train::{
        Analysis, Control, Evaluation, MemoryEstimate, RunDirectory, TrainError, TrainEvent, TrainingData, Workers,
        evaluate, matmul_peak, peak_memory_bytes, train,
    },
};
use burn::{module::Module, tensor::Device};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct TrainArguments {
    /// TOML file with the settings below, their names with underscores
    #[arg(long)]
    config: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Go on with the run in this folder, from its newest checkpoint and with its settings
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Resume even though settings, base model or data have changed
    #[arg(long, requires = "resume")]
    allow_changes: bool,
    /// Also write event files for TensorBoard into the run's folder
    #[arg(long)]
    tensorboard: bool,
    #[command(flatten)]
    settings: Settings,
}

/// The result of a run; also its `report.json`.
#[derive(Serialize)]
struct Report {
    benchmark: String,
    method: MethodName,
    /// Choices that are not the published implementation's.
    departures: Vec<Departure>,
    /// Of the best epoch, on the validation split, which also chose the epoch.
    accuracy: f64,
    accuracy_before: f64,
    best_epoch: usize,
    epochs: usize,
    selected_on: SplitPart,
    items: usize,
    /// The best epoch on a split that did not choose it.
    reported: Option<Reported>,
    train_items: usize,
    truncated_items: usize,
    /// Training items of which truncation left no answer; only published truncation does that.
    answers_lost: usize,
    train_rows: ReadReport,
    validation_rows: ReadReport,
    task_loss_first_epoch: Option<f64>,
    task_loss_last_epoch: Option<f64>,
    balance_loss_last_epoch: Option<f64>,
    mean_active_experts: Option<f64>,
    mean_active_experts_per_site: Vec<f64>,
    mean_threshold: Option<f64>,
    trainable_parameters: usize,
    steps: usize,
    train_tokens: usize,
    seconds: f64,
    tokens_per_second: f64,
    /// Of its matrix products.
    gigaflop_per_second: f64,
    /// What this reaches of what plain products reach on this machine.
    share_of_matmul_peak: f64,
    peak_memory_bytes: Option<u64>,
    /// What the peak was expected to be, before the first step.
    memory_estimate: MemoryEstimate,
    adapter: PathBuf,
}

#[derive(Serialize)]
struct Reported {
    split: SplitPart,
    accuracy: f64,
    items: usize,
    majority_accuracy: f64,
}

pub(crate) fn run(arguments: TrainArguments) -> Result<(), Failure> {
    let file = arguments.config.as_deref().map(Settings::from_file).transpose()?.unwrap_or_default();
    let flags = arguments.settings;
    let given = flags.clone().or(file.clone());
    let begun = arguments.resume.as_deref().map(Begun::read).transpose()?;
    let settings = match (&begun, &arguments.resume) {
        (Some(begun), Some(run)) => begun.settings(given, run, arguments.allow_changes)?,
        _ => given,
    };
    let asked_workers = settings.workers;
    let config = settings.clone().resolve()?;
    let devices = device::open_several(&config.device)?;
    let [plain_device, others @ ..] = &devices[..] else {
        return Err(Failure::Usage("--device names no device".into()));
    };
    let others: Vec<Device> = others.iter().cloned().map(Device::autodiff).collect();
    let device = plain_device.clone().autodiff();
    let items = config.reading.open()?;
    // Data first: what is wrong with it is found out before weights are read.
    let train_items = items.read_labelled(config.train_split)?;
    let validation_items = items.read_labelled(config.validation_split)?;

    let report_items = config.report_split.map(|part| Ok::<_, Failure>((part, items.read_labelled(part)?)));
    let report_items = report_items.transpose()?;

    let mut base = Base::load(&config.model, config.weights(), &device)?;
    let training = base.encode(&items, config.train_split.split, &train_items.items)?;
    let validation = base.encode(&items, config.validation_split.split, &validation_items.items)?;
    let report_items =
        report_items.map(|(part, read)| Ok::<_, Failure>((part, base.encode(&items, part.split, &read.items)?)));
    let report_items = report_items.transpose()?;
    let pad_id = base.pad_id();
    let plain = base.model.clone();
    let layout = config.adapter.layout(base.model.config().num_hidden_layers)?;
    base.model.adapt(&layout, config.recipe.seed);
    config.weights().check_loaded(&base.model)?;
    let fingerprint = Fingerprint::of(&base.folder, &[&training, &validation])?;
    let checkpoints = RunDirectory::checkpoints(&config.output, config.checkpoint_every, config.keep_checkpoints);
    let (mut checkpoint, mut first_step) = (None, 0);

    // Nothing is written before everything has been read and checked.
    let mut directory = match &begun {
        None => {
            let record = Record::new(&config, &flags, &file, &fingerprint);
            RunDirectory::create(&config.output, &record, &Begun::new(&settings, &fingerprint))?
        }
        Some(begun) => {
            begun.check(&fingerprint, arguments.allow_changes)?;
            checkpoint = checkpoints.newest(|path, error| {
                eprintln!("warning: {} is passed over: {error}", path.display());
            })?;
            let done = checkpoint.as_ref().map(|checkpoint| &checkpoint.progress);
            first_step = done.map_or(0, |done| done.step);
            eprintln!("resuming after {first_step} steps");
            RunDirectory::resume(&config.output, done)?
        }
    };
    if arguments.tensorboard {
        directory = directory.with_tensorboard(first_step)?;
    }
    // Of several devices each has a worker, and holds one micro-batch at a time.
    let on_cpu = device::is_cpu(plain_device);
    let workers = match others.len() {
        0 => Workers::new(workers(asked_workers, on_cpu)),
        others => Workers::new(1 + others),
    };
    let side_by_side = if others.is_empty() { workers.count() } else { 1 };
    let lengths: Vec<usize> = training.iter().map(|example| example.text.len()).collect();
    let memory_estimate = memory::estimate(&config, &layout, base.model.config(), &lengths, (side_by_side, on_cpu));
    eprintln!("memory: {}", memory::text(&memory_estimate));
    let matmul_peak = match others.len() {
        0 => matmul_peak(&workers, plain_device, config.dtype),
        others => (1 + others) as f64 * matmul_peak(&Workers::new(1), plain_device, config.dtype),
    };
    let signals = Signals::follow().map_err(Failure::Signals)?;
    let stop = || signals.exit_code().is_some();
    let is_resumed = checkpoint.is_some();
    let mut progress = Progress::new();
    let mut trainable = 0;
    let outcome = train(
        base.model,
        TrainingData { train: &training, validation: &validation, pad_id },
        &config.recipe,
        &workers,
        &device,
        Control { checkpoints: Some(&checkpoints), resume: checkpoint, stop: Some(&stop), devices: &others },
        |event, best_model| {
            progress.observe(event);
            if let TrainEvent::Start { trainable_parameters, .. } = event {
                trainable = *trainable_parameters;
            }
            // A run has begun once.
            if !(is_resumed && matches!(event, TrainEvent::Start { .. })) {
                directory.record(event)?;
            }
            best_model.map_or(Ok(()), |model| directory.save_best(model, &config.model))
        },
    );
    let outcome = outcome.map_err(|error| match (error, signals.exit_code()) {
        (TrainError::Interrupted { steps }, Some(exit_code)) => {
            Failure::Interrupted { steps, run: config.output.clone(), exit_code }
        }
        (error, _) => error.into(),
    })?;
    let run = outcome.progress;
    let (task_losses, balance_losses): (Vec<_>, Vec<_>) =
        run.epochs.iter().map(|epoch| (epoch.task_loss, epoch.balance_loss)).unzip();
    let task_losses: Vec<f64> = task_losses.into_iter().flatten().collect();

    let mut best_model = plain.valid();
    load_adapter(&mut best_model, &directory.adapter())?;
    let report_on = |(split, examples): (SplitPart, Vec<Example>)| -> Result<Reported, Failure> {
        let Evaluation { accuracy, items, majority_accuracy, .. } =
            evaluate(&best_model, &examples, &workers, plain_device);
        Ok(Reported { split, accuracy, items, majority_accuracy })
    };
    let reported = report_items.map(report_on).transpose()?;
    let (best_epoch, best) = outcome.best;
    if let Some(analysis) = Analysis::of(items.benchmark.name(), &best_model, &best.routing) {
        let file = |name| config.output.join(name);
        routing::write(&[analysis], Some(&file("routing.json")), Some(&file("routing.html")))?;
    }
    let truncated = |examples: &[Example]| examples.iter().filter(|example| example.truncated).count();
    let report = Report {
        benchmark: items.benchmark.name().to_owned(),
        method: config.adapter.method,
        departures: departures(&config),
        accuracy: best.accuracy,
        accuracy_before: run.before.accuracy,
        best_epoch,
        epochs: config.recipe.epochs,
        selected_on: config.validation_split,
        items: best.items,
        reported,
        train_items: training.len(),
        truncated_items: truncated(&training) + truncated(&validation),
        answers_lost: training.iter().filter(|example| example.answer_at.is_none()).count(),
        train_rows: train_items.report,
        validation_rows: validation_items.report,
        task_loss_first_epoch: task_losses.first().copied(),
        task_loss_last_epoch: task_losses.last().copied(),
        balance_loss_last_epoch: balance_losses.last().copied().flatten(),
        mean_active_experts: best.mean_active_experts,
        mean_active_experts_per_site: best.routing.mean_active_per_site(),
        mean_threshold: best.routing.mean_threshold(),
        trainable_parameters: trainable,
        steps: run.step,
        train_tokens: run.train_tokens,
        seconds: run.seconds,
        tokens_per_second: run.train_tokens as f64 / run.train_seconds,
        gigaflop_per_second: run.train_operations / run.train_seconds / 1e9,
        share_of_matmul_peak: run.train_operations / run.train_seconds / matmul_peak,
        peak_memory_bytes: peak_memory_bytes(),
        memory_estimate,
        adapter: directory.adapter(),
    };
    directory.finish(&report)?;
    print(arguments.format, &report, || text(&report));
    Ok(())
}

fn text(report: &Report) -> String {
    let active = report.mean_active_experts.map(|mean| format!(", {mean:.2} experts active")).unwrap_or_default();
    let reported = report
        .reported
        .as_ref()
        .map(|reported| format!("\n{} on {} {} items", percent(reported.accuracy), reported.items, reported.split));
    let reported = reported.unwrap_or_default();
    format!(
        "{}: accuracy {} on {} validation items (epoch {} of {}; {} before training){active}{reported}\n\
         {} at {:.0} tokens/s and {} of the matmul peak, peak memory {}\nadapter: {}",
        report.benchmark,
        percent(report.accuracy),
        report.items,
        report.best_epoch,
        report.epochs,
        percent(report.accuracy_before),
        duration(report.seconds),
        report.tokens_per_second,
        percent(report.share_of_matmul_peak),
        size(report.peak_memory_bytes),
        report.adapter.display(),
    )
}
