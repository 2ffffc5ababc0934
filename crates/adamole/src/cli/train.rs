//! `adamole train`.

use super::{
    Failure,
    card::Card,
    chat,
    evaluate::write_predictions,
    identity::Identity,
    memory,
    output::{Format, print},
    prepare::{Hardware, Inputs, Request, Told, located},
    progress::Progress,
    ranks::Crew,
    report::{Report, Reported},
    resume::{Begun, Start},
    routing, routing_facts,
    settings::{Flags, Resolved, Settings},
    signals::Signals,
};
use adamole::{
    device,
    llama::{CausalLm, load_adapter},
    train::{
        Analysis, Checkpoint, Checkpoints, Evaluation, Observer, RunDirectory, Stop, TrainError, TrainEvent, Trainer,
        TrainingData, evaluate_until,
    },
};
use clap::Args;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The exit code of a process that SIGTERM has ended.
const SIGTERM: u8 = 143;

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole train --model HuggingFaceTB/SmolLM2-135M --benchmark copa
  adamole train --model HuggingFaceTB/SmolLM2-135M-Instruct --data chats.jsonl --output runs/chats
  adamole train --config run.toml --seed 1
  adamole train --resume runs/chats";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TrainArguments {
    /// TOML file with the settings below, their names with underscores
    ///
    /// `adamole config init` prints one to start from. A flag wins over the file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Continue the run in this folder, from its newest checkpoint
    ///
    /// It has the settings that it began with; flags may change those that do not change its course.
    #[arg(long, value_name = "DIR")]
    resume: Option<PathBuf>,
    /// Resume even though settings, base model or data have changed
    #[arg(long, requires = "resume", hide_short_help = true)]
    allow_changes: bool,
    /// Also write event files for TensorBoard into the run's folder
    #[arg(long)]
    tensorboard: bool,
    #[command(flatten)]
    settings: Flags<Settings>,
}

pub(crate) fn run(arguments: TrainArguments, crew: &Crew) -> Result<(), Failure> {
    let TrainArguments { config, format, resume, allow_changes, tensorboard, settings: Flags(flags) } = arguments;
    let request = || {
        let file = config.as_deref().map(Settings::from_file).transpose()?.unwrap_or_default();
        if let Some(run) = &resume
            && let Some(report) = Begun::read(run)?.result(&located(flags.clone().or(file.clone())), run)?
        {
            print(format, &report, || report.text())?;
            return Ok(None);
        }
        Request::new(flags, file, resume.as_deref(), allow_changes).map(Some)
    };
    // Rank 0 alone reads and locks the run's folder, and says what is to be done.
    let told = |request: &Option<Request>| request.as_ref().map(Request::told);
    let follow = |told: Option<Told>| told.map(Request::follow).transpose();
    let Some(mut request) = crew.lead(request, told, follow)? else { return Ok(()) };
    let inputs = request.read(crew).and_then(|inputs| Ok((request.identity(&inputs)?, inputs)));
    let (identity, inputs) = crew.agree(inputs, |(identity, _)| Ok(identity.clone()), Identity::changes_since)?;
    let start = || request.start(&inputs, &identity).map(Some);
    let newest = |start: &Option<(Start, _)>| {
        start.as_ref().and_then(|(start, _)| Some(start.checkpoint.as_ref()?.path().to_owned()))
    };
    let mut followed = None;
    let start = crew.lead(start, newest, |path: Option<PathBuf>| {
        followed = path;
        Ok(None)
    })?;
    let Some((Start { mut directory, checkpoint }, checkpoints)) = start else {
        return follow_run(&request.config, inputs, followed.as_deref(), crew);
    };
    let checkpoint = crew.agree(Ok(checkpoint), |_| Ok(()), |(), ()| Vec::new())?;
    let step = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.state.step);
    if resume.is_some() {
        say!("resuming after {step} steps");
    }
    if !directory.is_locked() {
        say!("warning: the file system of {} has no locks: run nothing else there", request.config.output.display());
    }
    if tensorboard {
        directory = directory.with_tensorboard(step)?;
    }
    let report = train(&request.config, inputs, directory, (checkpoint, &checkpoints))?;
    print(format, &report, || report.text())
}

/// Trains on the side of rank 0, from the checkpoint in this file, and leaves the results to it.
fn follow_run(config: &Resolved, mut inputs: Inputs, from: Option<&Path>, crew: &Crew) -> Result<(), Failure> {
    let model = inputs.base.model.clone();
    inputs.base.model = model.clone().without_adapters();
    let Inputs { data: run_data, base, hardware, .. } = &inputs;
    let adapter = RunDirectory::adapter_of(&config.output);
    let checkpoint = from.map(|path| with_best(Checkpoint::read(path)?, &adapter, &model)).transpose();
    let checkpoint = crew.agree(checkpoint, |_| Ok(()), |(), ()| Vec::new())?;
    let data = TrainingData { train: run_data.train(), validation: run_data.validation(), pad_id: base.pad_id() };
    let signals = Signals::follow().map_err(Failure::Signals)?;
    let stop = || signals.exit_code().is_some();
    let trainer = trainer(config, hardware, &stop).resume(checkpoint);
    let fitted = trainer.fit(model, data, &mut ()).map_err(|error| interrupted(error, 0, config, &signals))?;
    if let Some((_, examples)) = run_data.reported() {
        let evaluation = evaluate_until(&fitted.best.model, examples, &hardware.workers, &hardware.device, &stop);
        evaluation.map_err(|error| interrupted(error, fitted.state.step, config, &signals))?;
    }
    Ok(())
}

/// A trainer on this hardware. A GPU's memory is watched, and its host does not wait for it.
fn trainer<'a>(config: &'a Resolved, hardware: &'a Hardware, stop: &'a Stop<'a>) -> Trainer<'a> {
    let is_gpu = !device::is_cpu(&hardware.device);
    let trainer = Trainer::new(&config.recipe).workers(&hardware.workers).devices(&hardware.others);
    trainer.watch_base(is_gpu).run_ahead(is_gpu).stop(stop)
}

/// Trains, and writes the results into the folder of the run.
fn train(
    config: &Resolved,
    mut inputs: Inputs,
    directory: RunDirectory,
    (checkpoint, checkpoints): (Option<Checkpoint>, &Checkpoints),
) -> Result<Report, Failure> {
    say!("memory: {}", memory::text(&inputs.memory));
    let model = inputs.base.model.clone();
    inputs.base.model = model.clone().without_adapters();
    let Inputs { data: run_data, base, hardware, .. } = &inputs;
    let data = TrainingData { train: run_data.train(), validation: run_data.validation(), pad_id: base.pad_id() };
    let checkpoint = checkpoint.map(|checkpoint| with_best(checkpoint, &directory.adapter(), &model)).transpose()?;
    let matmul_peak = hardware.matmul_peak(config.dtype);
    let signals = Signals::follow().map_err(Failure::Signals)?;
    let stop = || signals.exit_code().is_some();
    let mut recorder = Recorder::new(directory, (config, inputs.template.clone()), &base.folder, checkpoint.as_ref());
    let trainer = trainer(config, hardware, &stop).checkpoints(checkpoints).resume(checkpoint);
    let fitted = trainer.fit(model, data, &mut recorder).map_err(|error| recorder.failure(error, &signals))?;

    let report_on = |(split, examples): &(_, Vec<_>)| {
        let evaluation = evaluate_until(&fitted.best.model, examples, &hardware.workers, &hardware.device, &stop);
        let evaluation = evaluation.map_err(|error| interrupted(error, fitted.state.step, config, &signals))?;
        write_predictions(&evaluation, &config.output.join("reported.jsonl"))?;
        let Evaluation { accuracy, items, majority_accuracy, .. } = evaluation;
        Ok::<_, Failure>(Reported { split: *split, accuracy, items, majority_accuracy })
    };
    let reported = run_data.reported().map(report_on).transpose()?;
    let statistics = fitted.best.evaluation.routing();
    if fitted.state.lost() {
        say!(
            "warning: no epoch is better than the model before training, whose validation is in the report: the adapter \
             of the best epoch is kept, and the base alone does better"
        );
    }
    let analysis = Analysis::of(&run_data.name(config), &fitted.best.model, statistics);
    let report = Report::new(config, &inputs, &fitted, reported, recorder.trainable_parameters, matmul_peak);
    if let Some(analysis) = analysis {
        let file = |name| config.output.join(name);
        let mut about = routing_facts::of_model(&config.model, None, &fitted.best.model);
        about.extend(report.facts());
        routing::write(&[analysis], &about, (Some(&file("routing.json")), Some(&file("routing.html"))))?;
    }
    recorder.directory.finish(&report)?;
    recorder.write_card()?;
    Ok(report)
}

/// The checkpoint with the adapter of its best epoch, which those of earlier versions do not hold, from the run's folder.
fn with_best(mut checkpoint: Checkpoint, adapter: &Path, model: &CausalLm) -> Result<Checkpoint, Failure> {
    if checkpoint.lacks_best() {
        let mut best = model.clone();
        load_adapter(&mut best, adapter)?;
        checkpoint.set_best(&best);
    }
    Ok(checkpoint)
}

fn interrupted(error: TrainError, steps: usize, config: &Resolved, signals: &Signals) -> Failure {
    match error {
        TrainError::Interrupted { .. } => {
            // Where it was another rank's signal, this one is told no number.
            let exit_code = signals.exit_code().unwrap_or(SIGTERM);
            Failure::Interrupted { steps, run: config.output.clone(), exit_code }
        }
        error => error.into(),
    }
}

/// Shows the progress of a run and records it in its folder.
struct Recorder<'a> {
    directory: RunDirectory,
    progress: Progress,
    config: &'a Resolved,
    base: &'a Path,
    is_resumed: bool,
    best_epoch: Option<usize>,
    trainable_parameters: usize,
    /// The chat template, where it is not the base's.
    template: Option<String>,
}

impl<'a> Recorder<'a> {
    fn new(
        directory: RunDirectory,
        (config, template): (&'a Resolved, Option<String>),
        base: &'a Path,
        checkpoint: Option<&Checkpoint>,
    ) -> Self {
        let best = checkpoint.and_then(|checkpoint| checkpoint.state.best.as_ref());
        Self {
            directory,
            progress: Progress::new(),
            config,
            base,
            is_resumed: checkpoint.is_some(),
            best_epoch: best.map(|(epoch, _)| *epoch),
            trainable_parameters: 0,
            template,
        }
    }

    /// Writes the model card of the best adapter.
    fn write_card(&self) -> Result<(), TrainError> {
        let adapter = self.directory.adapter();
        Card::of(&adapter)?.on_base(self.base).write(&adapter)
    }

    /// Why the run ended early.
    fn failure(&self, error: TrainError, signals: &Signals) -> Failure {
        self.progress.clear();
        let steps = if let TrainError::Interrupted { steps } = error { steps } else { 0 };
        let failure = interrupted(error, steps, self.config, signals);
        if let (Some(epoch), true) = (self.best_epoch, failure.is_not_finite()) {
            let adapter = self.directory.adapter();
            say!("the adapter of epoch {epoch}, the best so far, is kept in {}", adapter.display());
        }
        failure
    }
}

impl Observer for Recorder<'_> {
    fn event(&mut self, event: &TrainEvent) -> Result<(), TrainError> {
        self.progress.observe(event);
        if let TrainEvent::Start { trainable_parameters, .. } = event {
            self.trainable_parameters = *trainable_parameters;
            // A run starts once.
            if self.is_resumed {
                return Ok(());
            }
        }
        self.directory.record(event)
    }

    /// Saves the adapter at once, so that a run that is killed leaves it.
    fn best(&mut self, epoch: usize, model: &CausalLm) -> Result<(), TrainError> {
        self.best_epoch = Some(epoch);
        self.directory.save_best(model, &self.config.model)?;
        if let Some(template) = &self.template {
            let path = self.directory.adapter().join(chat::OF_ADAPTER);
            fs::write(&path, template).map_err(|source| TrainError::Io { path, source })?;
        }
        self.write_card()
    }
}
