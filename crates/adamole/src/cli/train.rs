//! `adamole train`.

use super::{
    Failure,
    adapter_settings::MethodName,
    inputs::{Base, workers},
    output::{Format, duration, percent, print, size},
    progress::Progress,
    settings::Settings,
};
use adamole::{
    data::{Example, ReadReport, Split},
    device,
    train::{RunDirectory, TrainEvent, TrainingData, Workers, peak_memory_bytes, train},
};
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
    #[command(flatten)]
    settings: Settings,
}

/// The result of a run; also its `report.json`.
#[derive(Serialize)]
struct Report {
    benchmark: String,
    method: MethodName,
    /// Of the best epoch, on the validation split, which also chose the epoch.
    accuracy: f64,
    accuracy_before: f64,
    best_epoch: usize,
    epochs: usize,
    selected_on: Split,
    reported_on: Split,
    items: usize,
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
    peak_memory_bytes: Option<u64>,
    adapter: PathBuf,
}

pub(crate) fn run(arguments: TrainArguments) -> Result<(), Failure> {
    let file = arguments.config.as_deref().map(Settings::from_file).transpose()?.unwrap_or_default();
    let settings = arguments.settings.or(file);
    let asked_workers = settings.workers;
    let config = settings.resolve()?;
    let device = device::open(&config.device)?.autodiff();
    let items = config.reading.open()?;
    // Data first: what is wrong with it is found out before weights are read.
    let train_items = items.read_labelled(Split::Train, config.limit_train)?;
    let validation_items = items.read_labelled(Split::Validation, config.limit_validation)?;

    let mut base = Base::load(&config.model, config.dtype, &device)?;
    let training = base.encode(&items, Split::Train, &train_items.items)?;
    let validation = base.encode(&items, Split::Validation, &validation_items.items)?;
    let pad_id = base.pad_id();
    let layout = config.adapter.layout(base.model.config().num_hidden_layers)?;
    base.model.adapt(&layout, config.recipe.seed);

    // Nothing is written before everything has been read and checked.
    let mut directory = RunDirectory::create(&config.output, &config)?;
    let mut progress = Progress::new();
    let (mut trainable, mut task_losses, mut balance_losses) = (0, Vec::new(), Vec::new());
    let outcome = train(
        base.model,
        TrainingData { train: &training, validation: &validation, pad_id },
        &config.recipe,
        &Workers::new(workers(asked_workers, &config.device)),
        &device,
        |event, best_model| {
            progress.observe(event);
            match event {
                TrainEvent::Start { trainable_parameters, .. } => trainable = *trainable_parameters,
                TrainEvent::Epoch(epoch) => {
                    task_losses.extend(epoch.task_loss);
                    balance_losses.extend(epoch.balance_loss);
                }
                TrainEvent::Step(_) => {}
            }
            directory.record(event)?;
            best_model.map_or(Ok(()), |model| directory.save_best(model, &config.model))
        },
    )?;

    let (best_epoch, best) = outcome.best;
    let truncated = |examples: &[Example]| examples.iter().filter(|example| example.truncated).count();
    let report = Report {
        benchmark: items.benchmark.name().to_owned(),
        method: config.adapter.method,
        accuracy: best.accuracy,
        accuracy_before: outcome.before.accuracy,
        best_epoch,
        epochs: config.recipe.epochs,
        selected_on: Split::Validation,
        reported_on: Split::Validation,
        items: best.items,
        train_items: training.len(),
        truncated_items: truncated(&training) + truncated(&validation),
        answers_lost: training.iter().filter(|example| example.answer_at.is_none()).count(),
        train_rows: train_items.report,
        validation_rows: validation_items.report,
        task_loss_first_epoch: task_losses.first().copied(),
        task_loss_last_epoch: task_losses.last().copied(),
        balance_loss_last_epoch: balance_losses.last().copied(),
        mean_active_experts: best.mean_active_experts,
        mean_active_experts_per_site: best.routing.mean_active_per_site(),
        mean_threshold: best.routing.mean_threshold(),
        trainable_parameters: trainable,
        steps: outcome.steps,
        train_tokens: outcome.train_tokens,
        seconds: outcome.seconds,
        tokens_per_second: outcome.train_tokens as f64 / outcome.train_seconds,
        peak_memory_bytes: peak_memory_bytes(),
        adapter: directory.adapter(),
    };
    directory.finish(&report)?;
    print(arguments.format, &report, || text(&report));
    Ok(())
}

fn text(report: &Report) -> String {
    let active = report.mean_active_experts.map(|mean| format!(", {mean:.2} experts active")).unwrap_or_default();
    format!(
        "{}: accuracy {} on {} validation items (epoch {} of {}; {} before training){active}\n\
         {} at {:.0} tokens/s, peak memory {}\nadapter: {}",
        report.benchmark,
        percent(report.accuracy),
        report.items,
        report.best_epoch,
        report.epochs,
        percent(report.accuracy_before),
        duration(report.seconds),
        report.tokens_per_second,
        size(report.peak_memory_bytes),
        report.adapter.display(),
    )
}
