//! The cells that have to be run, some of them side by side.

use crate::{
    ExperimentError,
    cell::{Cell, Launch},
    estimate::Estimate,
    lock, machine,
    outcome::{End, Environment, Numbers, Outcome},
    place::Places,
};
use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

/// A cell and what the program says of it.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) cell: Cell,
    /// None where the program is not built.
    pub(crate) estimate: Option<Estimate>,
    /// What there is of it.
    pub(crate) state: State,
}

#[derive(Debug, Clone)]
pub(crate) enum State {
    /// Never run.
    Missing,
    /// Run with other settings, other data or another version.
    Outdated,
    /// Run, with this result or failure.
    Run(Box<Outcome>),
}

impl Planned {
    /// A result that cannot be held against an estimate counts.
    pub(crate) fn new(cell: Cell, estimate: Option<Estimate>, places: &Places) -> Result<Self, ExperimentError> {
        let agrees =
            |outcome: &Outcome| estimate.as_ref().is_none_or(|now| outcome.definition.agrees(&now.definition()));
        let state = match Outcome::read(&places.result(&cell.key.id()))? {
            None => State::Missing,
            Some(outcome) if agrees(&outcome) => State::Run(Box::new(outcome)),
            Some(_) => State::Outdated,
        };
        Ok(Self { cell, estimate, state })
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_done(&self) -> bool {
        self.outcome().is_some_and(|outcome| outcome.numbers().is_some())
    }

    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Run(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// Of matrix products; 0 where the program is not built.
    pub(crate) fn operations(&self) -> f64 {
        self.estimate.as_ref().map_or(0.0, |estimate| estimate.operations(self.cell.is_trained))
    }
}

/// Operations in a second: the median of the finished cells, since one may have been paused; `otherwise` where there are none.
pub(crate) fn speed(cells: &[Planned], otherwise: f64) -> f64 {
    let done = cells.iter().filter(|cell| cell.is_done()).filter_map(Planned::outcome);
    let mut speeds: Vec<f64> =
        done.filter(|outcome| outcome.seconds > 0.0).map(|outcome| outcome.operations / outcome.seconds).collect();
    speeds.sort_by(f64::total_cmp);
    speeds.get(speeds.len() / 2).copied().unwrap_or(otherwise)
}

/// Asks the program about every cell, on all cores.
pub(crate) fn estimated(
    cells: Vec<Cell>,
    launch: &Launch,
    places: &Places,
    may_fetch: bool,
) -> Result<Vec<Planned>, ExperimentError> {
    let Some(program) = &launch.program else {
        return cells.into_iter().map(|cell| Planned::new(cell, None, places)).collect();
    };
    let folder = tempfile::tempdir().map_err(ExperimentError::io(std::env::temp_dir()))?;
    let next = Mutex::new(cells.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    let work = || {
        while let Some((place, cell)) = next.lock().ok().and_then(|mut next| next.next()) {
            let at_hand = may_fetch || Places::at_hand(&cell.settings);
            let estimate = |at_hand| Estimate::of(&cell, program, folder.path(), at_hand);
            // Where the files cannot be read the run is going to say so, and fail alone.
            let estimate = estimate(at_hand).or_else(|failure| estimate(false).map_err(|_| failure));
            let planned = estimate.and_then(|estimate| Planned::new(cell, Some(estimate), places));
            if let Ok(mut done) = done.lock() {
                done.push((place, planned));
            }
        }
    };
    thread::scope(|scope| (0..machine::cores()).for_each(|_| drop(scope.spawn(work))));
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, planned)| planned).collect()
}

/// Runs the cells that are not done, `jobs` of them side by side. A failure is kept as such and stops none of the others.
pub(crate) fn run(cells: &mut [Planned], launch: &Launch, places: &Places, jobs: usize, gigaflops: f64) {
    let pending: Vec<usize> = (0..cells.len()).filter(|&place| !cells[place].is_done()).collect();
    let all: f64 = pending.iter().map(|&place| cells[place].operations()).sum();
    let expected = all / speed(cells, 1e9 * gigaflops) / jobs as f64;
    eprintln!("{} cells, {} to run, about {}", cells.len(), pending.len(), duration(expected));
    let started = Instant::now();
    let next = Mutex::new(pending.iter().enumerate());
    let ended = Mutex::new((0.0, Vec::new()));
    let planned = &*cells;
    let work = || {
        while let Some((count, &place)) = next.lock().ok().and_then(|mut next| next.next()) {
            let cell = &planned[place];
            let Some(estimate) = &cell.estimate else { break };
            let outcome = match one(&cell.cell, estimate, launch, places) {
                Ok(outcome) => outcome,
                Err(failure) => {
                    eprintln!("[{}/{}] {}: left out: {failure}", count + 1, pending.len(), cell.cell.key.id());
                    continue;
                }
            };
            let Ok(mut ended) = ended.lock() else { break };
            ended.0 += cell.operations();
            let left = started.elapsed().as_secs_f64() * (all - ended.0) / ended.0.max(1.0);
            let said = match &outcome.end {
                End::Result(numbers) => format!("accuracy {:.1} %", 100.0 * numbers.accuracy),
                End::Failure(failure) => format!("failed: {}", failure.lines().last().unwrap_or_default()),
            };
            let (id, seconds) = (cell.cell.key.id(), duration(outcome.seconds));
            eprintln!("[{}/{}] {id}: {said}, {seconds}; about {} left", count + 1, pending.len(), duration(left));
            ended.1.push((place, outcome));
        }
    };
    thread::scope(|scope| (0..jobs).for_each(|_| drop(scope.spawn(work))));
    for (place, outcome) in ended.into_inner().map(|(_, outcomes)| outcomes).unwrap_or_default() {
        cells[place].state = State::Run(Box::new(outcome));
    }
}

/// Runs one cell and writes its result file, a failure too.
///
/// # Errors
/// Another process runs it; the result cannot be written.
fn one(cell: &Cell, estimate: &Estimate, launch: &Launch, places: &Places) -> Result<Outcome, ExperimentError> {
    let id = cell.key.id();
    let _lock = lock::hold(&places.lock(&id))?;
    let started = Instant::now();
    let folder = places.run(&id);
    let mut earlier_seconds = 0.0;
    let end = (|| {
        prepare(&folder, estimate)?;
        let printed = cell.run(launch, &folder)?;
        earlier_seconds = printed.earlier_seconds;
        Numbers::of(&printed, &folder.join("run"))
    })();
    let end = match end {
        Ok(numbers) => End::Result(Box::new(numbers)),
        Err(failure) => {
            let logs = format!("{failure}\nlogs: {}", folder.display());
            End::Failure(places.without_folders(&logs))
        }
    };
    let outcome = Outcome {
        model: cell.key.model.clone(),
        benchmark: cell.key.benchmark.clone(),
        method: cell.key.method.clone(),
        seed: cell.key.seed,
        definition: estimate.definition(),
        settings: estimate.settings(),
        trainable_parameters: if cell.is_trained { estimate.trainable_parameters } else { 0 },
        memory_estimate_bytes: estimate.memory_bytes,
        operations: estimate.operations(cell.is_trained),
        seconds: earlier_seconds + started.elapsed().as_secs_f64(),
        environment: environment(launch),
        end,
    };
    outcome.write(&places.result(&id))?;
    Ok(outcome)
}

/// The cell's folder, empty unless it holds a run of the same definition.
fn prepare(folder: &Path, estimate: &Estimate) -> Result<(), ExperimentError> {
    let path = folder.join("definition.json");
    let definition = serde_json::to_string_pretty(&estimate.definition());
    let definition = definition.map_err(|error| ExperimentError::io(&path)(error.into()))?;
    if fs::read_to_string(&path).is_ok_and(|found| found == definition) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(ExperimentError::io(folder))?;
    }
    fs::create_dir_all(folder).map_err(ExperimentError::io(folder))?;
    fs::write(&path, definition).map_err(ExperimentError::io(path))
}

fn environment(launch: &Launch) -> Environment {
    Environment {
        processor: machine::processor(),
        size: machine::size(),
        system: machine::system(),
        program: launch
            .program
            .as_ref()
            .and_then(|program| machine::version(program).ok())
            .unwrap_or_else(|| "unknown".into()),
        device: launch.device.clone(),
        date: machine::today(),
    }
}

/// Seconds as `42 s`, `3 min 05 s` or `2 h 10 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell;

    fn cell(places: &Places) -> Result<Cell, crate::TestError> {
        let launch = Launch { program: Some("no program".into()), device: "cpu".into(), workers: Some(1) };
        cell::tests::cell(places, &launch)
    }

    fn estimate(alpha: u32) -> Result<Estimate, serde_json::Error> {
        serde_json::from_value(serde_json::json!({
            "config": {"alpha": alpha, "recipe": {"epochs": 2}}, "fingerprint": null, "trainable_parameters": 7,
            "steps": 5, "train_operations": 4e9, "validation_operations": 1e9, "report_operations": 1e9,
            "memory_bytes": 1,
        }))
    }

    #[test]
    fn a_result_counts_while_its_definition_stands_and_a_failure_is_run_again() -> Result<(), crate::TestError> {
        let folder = tempfile::tempdir()?;
        let places = cell::tests::places(folder.path());
        let cell = cell(&places)?;
        assert_eq!(cell.settings["learning_rate"].as_float(), Some(3e-3), "the family's");
        assert_eq!(cell.settings["seed"].as_integer(), Some(3));
        let planned = |alpha| -> Result<Planned, crate::TestError> {
            Ok(Planned::new(cell.clone(), Some(estimate(alpha)?), &places)?)
        };
        assert!(matches!(planned(16)?.state, State::Missing));

        let launch = Launch { program: Some("no program".into()), device: "cpu".into(), workers: Some(1) };
        let mut cells = vec![planned(16)?];
        run(&mut cells, &launch, &places, 1, 1.0);
        let failure = cells[0].outcome().map(|outcome| outcome.end.clone());
        let shown =
            matches!(&failure, Some(End::Failure(text)) if text.contains("logs: RESULTS/runs/base.copa.lora.3"));
        assert!(shown, "{failure:?}");
        assert!(!planned(16)?.is_done(), "a failure is read again, and is not done");

        let held = lock::hold(&places.lock("base.copa.lora.3"))?;
        let mut again = vec![planned(16)?];
        run(&mut again, &launch, &places, 1, 1.0);
        assert_eq!(
            again[0].outcome().map(|outcome| outcome.seconds),
            cells[0].outcome().map(|outcome| outcome.seconds)
        );
        drop(held);

        let mut outcome = cells[0].outcome().cloned().ok_or("no outcome")?;
        outcome.end = End::Result(Box::default());
        outcome.write(&places.result("base.copa.lora.3"))?;
        assert!(planned(16)?.is_done());
        assert!(matches!(planned(32)?.state, State::Outdated));
        assert!(Planned::new(cell.clone(), None, &places)?.is_done(), "nothing to compare with");
        Ok(())
    }

    #[test]
    fn time_is_foretold_from_what_has_been_timed() -> Result<(), crate::TestError> {
        let folder = tempfile::tempdir()?;
        let places = cell::tests::places(folder.path());
        let mut planned = Planned::new(cell(&places)?, Some(estimate(16)?), &places)?;
        assert_eq!(planned.operations(), 4e9 + 3.0 * 1e9 + 2.0 * 1e9);
        assert_eq!(speed(&[planned.clone()], 5e9), 5e9, "nothing timed");
        let launch = Launch { program: Some("no program".into()), device: "cpu".into(), workers: None };
        let mut outcome = one(&planned.cell, &estimate(16)?, &launch, &places)?;
        (outcome.end, outcome.seconds) = (End::Result(Box::default()), 3.0);
        let mut paused = planned.clone();
        paused.state = State::Run(Box::new(Outcome { seconds: 900.0, ..outcome.clone() }));
        planned.state = State::Run(Box::new(outcome));
        assert_eq!(speed(&[planned.clone(), paused, planned], 5e9), 3e9, "a paused cell does not count");
        Ok(())
    }

    #[test]
    fn durations_are_in_words() {
        assert_eq!([42.4, 185.0, 7800.0].map(duration), ["42 s", "3 min 05 s", "2 h 10 min"]);
    }
}
