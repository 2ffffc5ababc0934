//! `adamole train`.

use super::{
    Failure,
    card::Card,
    compat::departures,
    fingerprint::RunFingerprint,
    identity::Identity,
    inputs::{Base, warn_beyond_positions, workers},
    memory,
    output::{Format, print},
    progress::Progress,
    record::Record,
    report::{Report, Reported},
    resume::{Begun, Resumed, Start},
    routing,
    settings::{Flags, Settings},
    signals::Signals,
};
use adamole::{
    data::{Example, SplitPart},
    device,
    llama::load_adapter,
    train::{
        Analysis, Control, Evaluation, RunDirectory, TrainError, TrainEvent, TrainingData, Workers, evaluate_until,
        matmul_peak, peak_memory_bytes, train,
    },
};
use burn::{module::Module, tensor::Device};
use clap::Args;
use serde_json::Value;
use std::{env, path::PathBuf};

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
    settings: Flags<Settings>,
}

pub(crate) fn run(arguments: TrainArguments) -> Result<(), Failure> {
    let file = arguments.config.as_deref().map(Settings::from_file).transpose()?.unwrap_or_default();
    let flags = arguments.settings.0;
    let given = flags.clone().or(file.clone());
    let mut begun = None;
    let settings = match &arguments.resume {
        None => given,
        Some(run) => {
            let now = env::current_dir().map_or(given.clone(), |folder| given.located_in(&folder));
            if let Some(report) = Begun::read(run)?.result(&now, run)? {
                return print(arguments.format, &report, || report.text());
            }
            let resumed = begun.insert(Resumed::open(run)?);
            resumed.begun.settings(now, run, arguments.allow_changes)?
        }
    };
    let config = settings.clone().resolve()?;
    if begun.is_none() {
        RunDirectory::check_free(&config.output)?;
    }
    if let Some(warning) = config.adapter.never_active() {
        say!("warning: {warning}");
    }
    // A run's own paths are relative to where it was begun.
    let places = match begun.as_ref().and_then(|resumed| resumed.begun.folder.as_deref()) {
        Some(folder) => settings.clone().located_in(folder).resolve()?,
        None => config.clone(),
    };
    let note_on_paths = |failure: &Failure| {
        if let (Failure::Hub(_), Some(resumed)) = (failure, &begun) {
            resumed.begun.note_on_paths(&places);
        }
    };
    let devices = device::open_several(&config.device)?;
    let [plain_device, others @ ..] = &devices[..] else {
        return Err(Failure::Usage("--device names no device".into()));
    };
    let others: Vec<Device> = others.iter().cloned().map(Device::autodiff).collect();
    let device = plain_device.clone().autodiff();
    let items = places.reading.open().inspect_err(note_on_paths)?;
    // Data first: what is wrong with it is found out before weights are read.
    let train_items = items.read_labelled(config.train_split)?;
    let validation_items = items.read_labelled(config.validation_split)?;

    let report_items = config.report_split.map(|part| Ok::<_, Failure>((part, items.read_labelled(part)?)));
    let report_items = report_items.transpose()?;

    let mut base = Base::load(&places.model, config.weights(), &device).inspect_err(note_on_paths)?;
    let training = base.encode(&items, config.train_split.split, &train_items.items)?;
    let validation = base.encode(&items, config.validation_split.split, &validation_items.items)?;
    let report_items =
        report_items.map(|(part, read)| Ok::<_, Failure>((part, base.encode(&items, part.split, &read.items)?)));
    let report_items = report_items.transpose()?;
    let pad_id = base.pad_id();
    warn_beyond_positions(base.model.config(), training.iter().map(|example| example.text.len()));
    let layout = config.adapter.layout(base.model.config().num_hidden_layers)?;
    // Of several devices each has a worker, and holds one micro-batch at a time.
    let on_cpu = device::is_cpu(plain_device);
    let workers = match others.len() {
        0 => Workers::new(workers(config.workers, on_cpu)),
        others => Workers::new(1 + others),
    };
    let side_by_side = if others.is_empty() { workers.count() } else { 1 };
    let lengths: Vec<usize> = training.iter().map(|example| example.text.len()).collect();
    let memory_estimate = memory::estimate(&config, &layout, base.model.config(), &lengths, (side_by_side, on_cpu));
    memory::check(&memory_estimate, on_cpu)?;
    let plain = base.model.clone();
    base.model.adapt(&layout, config.recipe.seed);
    config.weights().check_loaded(&base.model)?;

    // Nothing is written before everything has been read and checked.
    let report_examples = report_items.as_ref().map(|(_, examples)| &examples[..]);
    let fingerprint = RunFingerprint::of(&base.folder, &[&training, &validation], report_examples)?;
    let identity = Identity::new(&config, &fingerprint);
    let checkpoints = RunDirectory::checkpoints(&config.output, config.checkpoint_every, config.keep_checkpoints);
    let checkpoints = checkpoints.of_run(identity.to_json());
    let record = |old: Option<&Value>| Record::new((&config, &fingerprint), (&flags, &file), old);
    let Start { mut directory, checkpoint } = match begun {
        None => {
            let directory = RunDirectory::create(&config.output, &record(None), &Begun::new(&settings, &fingerprint))?;
            Start { directory, checkpoint: None }
        }
        Some(resumed) => {
            let (now, model) = ((&identity, &settings), (&base.model, config.model.as_str()));
            resumed.go_on(now, model, &checkpoints, record, arguments.allow_changes)?
        }
    };
    let done = checkpoint.as_ref().map(|checkpoint| &checkpoint.progress);
    let first_step = done.map_or(0, |done| done.step);
    let mut best_epoch = done.and_then(|done| done.best.as_ref()).map(|(epoch, _)| *epoch);
    if arguments.resume.is_some() {
        say!("resuming after {first_step} steps");
    }
    if !directory.is_locked() {
        say!("warning: the file system of {} has no locks: run nothing else there", config.output.display());
    }
    if arguments.tensorboard {
        directory = directory.with_tensorboard(first_step)?;
    }
    say!("memory: {}", memory::text(&memory_estimate));
    let matmul_peak = match others.len() {
        0 => matmul_peak(&workers, plain_device, config.dtype),
        others => (1 + others) as f64 * matmul_peak(&Workers::new(1), plain_device, config.dtype),
    };
    let signals = Signals::follow().map_err(Failure::Signals)?;
    let stop = || signals.exit_code().is_some();
    let is_resumed = checkpoint.is_some();
    let mut progress = Progress::new();
    let base_folder = base.folder;
    let write_card = |run: &RunDirectory| Card::of(&run.adapter())?.on_base(&base_folder).write(&run.adapter());
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
            if let (TrainEvent::Epoch(epoch), Some(_)) = (event, best_model) {
                best_epoch = Some(epoch.epoch);
            }
            if let TrainEvent::Start { trainable_parameters, .. } = event {
                trainable = *trainable_parameters;
            }
            // A run has begun once.
            if !(is_resumed && matches!(event, TrainEvent::Start { .. })) {
                directory.record(event)?;
            }
            if let Some(model) = best_model {
                directory.save_best(model, &config.model)?;
                write_card(&directory)?;
            }
            Ok(())
        },
    );
    let interrupted = |steps: usize, error: TrainError| match (error, signals.exit_code()) {
        (TrainError::Interrupted { .. }, Some(exit_code)) => {
            Failure::Interrupted { steps, run: config.output.clone(), exit_code }
        }
        (error, _) => error.into(),
    };
    let outcome = outcome.map_err(|error| {
        let steps = if let TrainError::Interrupted { steps } = error { steps } else { 0 };
        let failure = interrupted(steps, error);
        if let (Some(epoch), true) = (best_epoch, failure.is_not_finite()) {
            say!("the adapter of epoch {epoch}, the best so far, is kept in {}", directory.adapter().display());
        }
        failure
    })?;
    let run = outcome.progress;
    let (task_losses, balance_losses): (Vec<_>, Vec<_>) =
        run.epochs.iter().map(|epoch| (epoch.task_loss, epoch.balance_loss)).unzip();
    let task_losses: Vec<f64> = task_losses.into_iter().flatten().collect();

    let mut best_model = plain.valid();
    load_adapter(&mut best_model, &directory.adapter())?;
    let report_on = |(split, examples): (SplitPart, Vec<Example>)| -> Result<Reported, Failure> {
        let evaluation = evaluate_until(&best_model, &examples, &workers, plain_device, &stop);
        let Evaluation { accuracy, items, majority_accuracy, .. } =
            evaluation.map_err(|error| interrupted(run.step, error))?;
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
        diverged_epochs: run.epochs.iter().filter(|epoch| epoch.diverged).map(|epoch| epoch.epoch).collect(),
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
        mean_active_experts_per_site: best.routing.mean_active_per_layer(),
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
    write_card(&directory)?;
    print(arguments.format, &report, || report.text())
}
