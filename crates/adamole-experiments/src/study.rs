//! A study from its definitions to its report.

use crate::{
    ExperimentError, Options,
    cell::{Cell, Launch},
    check, comparison,
    definition::Definitions,
    dry_run, machine,
    outcome::Outcome,
    place::Places,
    plan::{Choice, Key, plan},
    planned::{Planned, estimated, speed},
    report,
    results::Results,
    runner,
    slurm::{Job, Submission},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicUsize},
};

/// The environment of a study: a checkout of the source, or an installed program.
pub trait Host {
    /// The folder of the project's source, with the shipped models and samples; `None` without a checkout.
    fn root(&self) -> Option<&Path>;

    /// The `adamole` program with the backend of this device. If nothing runs (`needed` is false), it need not be built: without a
    /// program, cells are listed without estimates.
    ///
    /// # Errors
    /// The program cannot be built.
    fn program(&self, device: &str, needed: bool) -> Result<Option<PathBuf>, ExperimentError>;

    /// The same for a study that fetches nothing from the hub, for which the program needs no client of the hub.
    ///
    /// # Errors
    /// The program cannot be built.
    fn program_without_hub(&self, device: &str) -> Result<Option<PathBuf>, ExperimentError> {
        self.program(device, true)
    }

    /// The number of the signal that has asked this process to stop, 0 before. Runs are then asked to save and to end.
    fn signal(&self) -> Arc<AtomicUsize> {
        Arc::default()
    }

    /// The command that starts a study, for the report.
    fn command(&self) -> &'static str;
}

/// The result of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Done {
    /// The list of a dry run.
    Planned(String),
    /// The report in Markdown. The other files are in the same folder.
    Reported(PathBuf),
    /// The jobs that Slurm has: the trials of learning rates, the cells, the report.
    Submitted(Vec<Job>),
    /// Cells were run, and the report is left to another call.
    Ran,
}

/// Runs the cells that are missing or outdated, or submits them to Slurm, then writes the report over all results of the preset.
///
/// # Errors
/// A definition is invalid or names something unknown; a model is missing; cells failed (the others were run, and the report is
/// written); a signal stopped it; with `--check`, the report is incomplete.
pub fn run(options: &Options, host: &dyn Host) -> Result<Done, ExperimentError> {
    let mut study = Study::read(options, host)?;
    if options.dry_run {
        return study.listed();
    }
    if options.slurm.submits() {
        return study.submitted();
    }
    if study.is_run() {
        study.run_cells()?;
    }
    if options.only_cells {
        return Ok(Done::Ran);
    }
    study.report()
}

/// A study under way.
struct Study<'a> {
    options: &'a Options,
    command: String,
    definitions: Definitions,
    seeds: Vec<u64>,
    places: Places,
    launch: Launch,
    jobs: usize,
    /// The trials of learning rates, all of them, which come first and say with which rates the other cells run.
    trials: Vec<Planned>,
    /// Those that are selected.
    selected_trials: Vec<Key>,
    /// The other cells that are selected.
    selected: Vec<Key>,
}

impl<'a> Study<'a> {
    /// Reads the definitions and plans the cells.
    fn read(options: &'a Options, host: &dyn Host) -> Result<Self, ExperimentError> {
        let definitions = Definitions::read(&options.preset, options.experiments.as_deref())?;
        let seeds = if options.seeds.is_empty() { definitions.preset.seeds.clone() } else { options.seeds.clone() };
        let choice = options.choice();
        choice.validate(&definitions, &seeds)?;
        if options.measure && definitions.preset.comparison.is_none() {
            return Err(ExperimentError::NothingToMeasure);
        }
        if let Some(seed) = definitions.trial_seed().filter(|seed| seeds.contains(seed)) {
            return Err(ExperimentError::TrialSeed { seed });
        }
        let places = options.places(&definitions, host.root())?;
        let chosen = plan(&definitions, &seeds, &choice);
        if chosen.is_empty() {
            return Err(ExperimentError::NothingAsked);
        }
        let is_run = options.runs_cells();
        if is_run {
            for (role, model) in &definitions.preset.models {
                if chosen.iter().any(|key| key.model == *role) {
                    places.check_model(role, model)?;
                }
            }
        }
        let program = match &options.program {
            Some(program) => Some(fs::canonicalize(program).map_err(ExperimentError::io(program))?),
            None if is_run && !places.needs_hub(&definitions) => host.program_without_hub(&options.device)?,
            None => host.program(&options.device, is_run || options.measure)?,
        };
        let jobs = match options.jobs.unwrap_or(definitions.preset.jobs) {
            0 => machine::cores(),
            jobs => jobs,
        };
        // Cells on the CPU share its cores.
        let on_cores = ["auto", "cpu"].contains(&options.device.as_str());
        let workers = on_cores.then(|| (machine::cores() / jobs).max(1));
        let launch = Launch { program, device: options.device.clone(), workers, signal: host.signal() };
        let (selected_trials, selected) = chosen.into_iter().partition(|key| definitions.is_trial(key));
        let trials = trials(&definitions, &seeds, (&places, &launch), is_run)?;
        let command = options.command(host.command());
        let mut study =
            Self { options, command, definitions, seeds, places, launch, jobs, trials, selected_trials, selected };
        study.choose_rates();
        Ok(study)
    }

    fn is_run(&self) -> bool {
        self.options.runs_cells()
    }

    fn gigaflops(&self) -> f64 {
        self.definitions.preset.gigaflops
    }

    /// Chooses the learning rates that the trials' results decide.
    fn choose_rates(&mut self) {
        if let Some(comparison) = &self.definitions.preset.comparison {
            self.definitions.rates = comparison::choose(comparison, &self.trials);
        }
    }

    fn cells(&self, keys: &[Key]) -> Result<Vec<Cell>, ExperimentError> {
        cells(&self.definitions, keys, &self.places, &self.launch)
    }

    fn estimated(&self, cells: Vec<Cell>, may_fetch: bool) -> Result<Vec<Planned>, ExperimentError> {
        estimated(cells, &self.launch, &self.places, may_fetch)
    }

    /// The trials that are selected, and the other ones.
    fn split_trials(&self) -> (Vec<Planned>, Vec<Planned>) {
        self.trials.iter().cloned().partition(|planned| self.selected_trials.contains(&planned.cell.key))
    }

    /// The list of a dry run.
    fn listed(&self) -> Result<Done, ExperimentError> {
        let mut all = self.split_trials().0;
        all.extend(self.estimated(self.cells(&self.selected)?, false)?);
        Ok(Done::Planned(dry_run::text(&all, self.jobs, self.gigaflops())))
    }

    /// Runs what is selected and not done: the trials first.
    fn run_cells(&mut self) -> Result<(), ExperimentError> {
        let (mut mine, others) = self.split_trials();
        if !mine.is_empty() {
            if !mine.iter().all(Planned::is_done) {
                // What is wrong with the other cells is said before the first trial runs, and not after the last.
                self.estimated(self.cells(&self.selected)?, true)?;
            }
            runner::run(&mut mine, &self.launch, &self.places, self.jobs, self.gigaflops())?;
        }
        self.trials = [mine, others].concat();
        self.choose_rates();
        let (waiting, ready): (Vec<Cell>, Vec<Cell>) =
            self.cells(&self.selected)?.into_iter().partition(|cell| cell.waits);
        if !waiting.is_empty() {
            eprintln!("{} cells wait for the trials of their learning rate", waiting.len());
        }
        let mut planned = self.estimated(ready, true)?;
        runner::run(&mut planned, &self.launch, &self.places, self.jobs, self.gigaflops())
    }

    /// Submits what is selected and not done to Slurm.
    fn submitted(&self) -> Result<Done, ExperimentError> {
        let cells = self.estimated(self.cells(&self.selected)?, true)?;
        let (trials, cells) = (pending(self.split_trials().0), pending(cells));
        if trials.is_empty() && cells.is_empty() {
            return self.report();
        }
        let submission = Submission {
            options: self.options,
            places: &self.places,
            launch: &self.launch,
            speed: speed(&[self.trials.clone(), cells.clone()].concat(), 1e9 * self.gigaflops()),
        };
        submission.submit(&trials, &cells).map(Done::Submitted)
    }

    /// Writes the report.
    fn report(&self) -> Result<Done, ExperimentError> {
        let Self { options, definitions, seeds, places, .. } = self;
        fs::create_dir_all(&places.output).map_err(ExperimentError::io(&places.output))?;
        if let Some(comparison) = definitions.preset.comparison.as_ref().filter(|_| options.measure) {
            comparison::measure(comparison, definitions, places, &self.launch)?;
        }
        // Results with other seeds are reported too, but are not required.
        let all_seeds = with_results(seeds, definitions, places)?;
        let all = plan(definitions, &all_seeds, &Choice::default());
        let mut planned = self.estimated(self.cells(&all)?, false)?;
        planned.retain(|planned| {
            let cell = &planned.cell;
            seeds.contains(&cell.key.seed) || planned.outcome().is_some() || !cell.is_trained || cell.trial_of.is_some()
        });
        let results = Results { definitions, cells: &planned, seeds: &all_seeds };
        match &definitions.preset.comparison {
            Some(comparison) => comparison::write(comparison, &results, &self.command, &places.output)?,
            None => report::write(&results, &options.preset_name(), &self.command, &places.output)?,
        }
        let report = places.output.join("report.md");
        let failed = results.failures().count();
        let faults = if options.check { check::faults(&results) } else { Vec::new() };
        match (faults.is_empty(), failed) {
            (false, _) => Err(ExperimentError::NotWhole(faults)),
            (true, 0) => Ok(Done::Reported(report)),
            (true, count) => Err(ExperimentError::CellsFailed { count, report }),
        }
    }
}

fn pending(cells: Vec<Planned>) -> Vec<Planned> {
    cells.into_iter().filter(|planned| !planned.is_done()).collect()
}

fn cells(
    definitions: &Definitions,
    keys: &[Key],
    places: &Places,
    launch: &Launch,
) -> Result<Vec<Cell>, ExperimentError> {
    keys.iter().map(|key| Cell::new(definitions, key, places, launch)).collect()
}

/// Every trial of a learning rate.
fn trials(
    definitions: &Definitions,
    seeds: &[u64],
    (places, launch): (&Places, &Launch),
    may_fetch: bool,
) -> Result<Vec<Planned>, ExperimentError> {
    let mut keys = plan(definitions, seeds, &Choice::default());
    keys.retain(|key| definitions.is_trial(key));
    estimated(cells(definitions, &keys, places, launch)?, launch, places, may_fetch)
}

/// The requested seeds, and those of existing results.
fn with_results(asked: &[u64], definitions: &Definitions, places: &Places) -> Result<Vec<u64>, ExperimentError> {
    let mut seeds = asked.to_vec();
    for file in fs::read_dir(places.output.join("cells")).into_iter().flatten() {
        let path = file.map_err(ExperimentError::io(&places.output))?.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Some(outcome) = Outcome::read(&path)?
            && !definitions.is_trial(&outcome.key())
        {
            seeds.push(outcome.seed);
        }
    }
    seeds.sort_unstable();
    seeds.dedup();
    Ok(seeds)
}
