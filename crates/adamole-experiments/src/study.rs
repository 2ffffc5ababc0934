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
    planned::{Planned, estimated},
    report,
    results::Results,
    runner,
};
use std::{
    fs,
    path::{Path, PathBuf},
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
}

/// Runs the cells that are missing or outdated, then writes the report over all results of the preset.
///
/// # Errors
/// A definition is invalid or names something unknown; a model is missing; cells failed (the others were run, and the report is
/// written); with `--check`, the report is incomplete.
pub fn run(options: &Options, host: &dyn Host) -> Result<Done, ExperimentError> {
    let mut definitions = Definitions::read(&options.preset, options.experiments.as_deref())?;
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
    let is_run = !options.dry_run && !options.report_only && !options.measure;
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
    let launch = Launch { program, device: options.device.clone(), workers };
    let chosen = options.shard.map_or(chosen.clone(), |shard| shard.of(chosen));
    let gigaflops = definitions.preset.gigaflops;
    // The trials of learning rates come first, and say with which rates the other cells run.
    let (of_trials, chosen): (Vec<Key>, Vec<Key>) = chosen.into_iter().partition(|key| definitions.is_trial(key));
    let mut trials = trials(&definitions, &seeds, (&places, &launch), is_run)?;
    if is_run {
        let (mut mine, others): (Vec<Planned>, _) =
            trials.into_iter().partition(|planned| of_trials.contains(&planned.cell.key));
        if !mine.is_empty() {
            runner::run(&mut mine, &launch, &places, jobs, gigaflops);
        }
        trials = [mine, others].concat();
    }
    if let Some(comparison) = &definitions.preset.comparison {
        definitions.rates = comparison::choose(comparison, &trials);
    }
    let cells = |keys: &[Key]| cells(&definitions, keys, &places, &launch);
    if options.dry_run {
        trials.retain(|planned| of_trials.contains(&planned.cell.key));
        trials.extend(estimated(cells(&chosen)?, &launch, &places, false)?);
        return Ok(Done::Planned(dry_run::text(&trials, jobs, gigaflops)));
    }
    if is_run {
        let (waiting, ready): (Vec<Cell>, Vec<Cell>) = cells(&chosen)?.into_iter().partition(|cell| cell.waits);
        if !waiting.is_empty() {
            eprintln!("{} cells wait for the trials of their learning rate", waiting.len());
        }
        let mut planned = estimated(ready, &launch, &places, true)?;
        runner::run(&mut planned, &launch, &places, jobs, gigaflops);
    }

    fs::create_dir_all(&places.output).map_err(ExperimentError::io(&places.output))?;
    if let Some(comparison) = definitions.preset.comparison.as_ref().filter(|_| options.measure) {
        comparison::measure(comparison, &definitions, &places, &launch)?;
    }
    // Results with other seeds are reported too, but are not required.
    let all_seeds = with_results(&seeds, &definitions, &places)?;
    let all = plan(&definitions, &all_seeds, &Choice::default());
    let mut planned = estimated(cells(&all)?, &launch, &places, false)?;
    planned.retain(|planned| {
        let cell = &planned.cell;
        seeds.contains(&cell.key.seed) || planned.outcome().is_some() || !cell.is_trained || cell.trial_of.is_some()
    });
    let results = Results { definitions: &definitions, cells: &planned, seeds: &all_seeds };
    let command = options.command(host.command());
    match &definitions.preset.comparison {
        Some(comparison) => comparison::write(comparison, &results, &command, &places.output)?,
        None => report::write(&results, &options.preset_name(), &command, &places.output)?,
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
