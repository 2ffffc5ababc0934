//! Running cells.

use crate::{
    ExperimentError,
    cell::{Cell, Launch},
    dry_run::duration,
    estimate::Estimate,
    lock, machine,
    outcome::{End, Environment, Numbers, Outcome},
    place::Places,
    planned::{Planned, State, in_parallel, speed},
};
use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Runs the cells that are not done, `jobs` of them in parallel. A failure is a result, and stops none of the other cells.
///
/// # Errors
/// A signal stopped it.
pub(crate) fn run(
    cells: &mut [Planned],
    launch: &Launch,
    places: &Places,
    jobs: usize,
    gigaflops: f64,
) -> Result<(), ExperimentError> {
    let pending: Vec<usize> = (0..cells.len()).filter(|&place| !cells[place].is_done()).collect();
    let number = pending.len();
    let all: f64 = pending.iter().map(|&place| cells[place].operations()).sum();
    let expected = all / speed(cells, 1e9 * gigaflops) / jobs as f64;
    eprintln!("{} cells, {number} to run, about {}", cells.len(), duration(expected));
    let (started, ended) = (Instant::now(), Mutex::new(0.0));
    let planned = &*cells;
    let numbered: Vec<(usize, usize)> = (1..).zip(pending).collect();
    let outcomes = in_parallel(numbered, jobs, |(count, place)| {
        launch.unless_stopped().ok()?;
        let Planned { cell, estimate, .. } = &planned[place];
        let id = cell.key.id();
        let outcome = match one(cell, estimate.as_ref()?, launch, places) {
            Ok(outcome) => outcome,
            Err(ExperimentError::Stopped { .. }) => return None,
            Err(failure) => {
                eprintln!("[{count}/{number}] {id}: skipped: {failure}");
                return None;
            }
        };
        let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended += planned[place].operations();
        let left = started.elapsed().as_secs_f64() * (all - *ended) / ended.max(1.0);
        let said = match &outcome.end {
            End::Result(numbers) => format!("accuracy {:.1} %", 100.0 * numbers.accuracy),
            End::Failure(failure) => format!("failed: {}", failure.lines().last().unwrap_or_default()),
        };
        let seconds = duration(outcome.seconds);
        eprintln!("[{count}/{number}] {id}: {said}, {seconds}; about {} left", duration(left));
        Some((place, outcome))
    });
    for (place, outcome) in outcomes.into_iter().flatten() {
        cells[place].state = State::Run(Box::new(outcome));
    }
    launch.unless_stopped()
}

/// Runs one cell and writes its result file, also of a failure.
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
        // It is no result of the cell.
        Err(stopped @ ExperimentError::Stopped { .. }) => return Err(stopped),
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
        operations_per_token: estimate.operations_per_token().filter(|_| cell.is_trained),
        seconds: earlier_seconds + started.elapsed().as_secs_f64(),
        environment: environment(launch),
        end,
    };
    outcome.write(&places.result(&id))?;
    Ok(outcome)
}

/// Prepares the folder of a cell, which is emptied unless it holds a run with the same definition.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell;

    fn cell(places: &Places) -> Result<Cell, crate::TestError> {
        let launch = Launch {
            program: Some("no program".into()),
            device: "cpu".into(),
            workers: Some(1),
            signal: Default::default(),
        };
        cell::tests::cell(places, &launch)
    }

    fn estimate(alpha: u32) -> Result<Estimate, serde_json::Error> {
        serde_json::from_value(serde_json::json!({
            "config": {"alpha": alpha, "recipe": {"epochs": 2}}, "fingerprint": null, "trainable_parameters": 7,
            "steps": 5, "train_tokens": 2, "train_operations": 4e9, "validation_operations": 1e9, "report_operations": 1e9,
            "report_overlaps_validation": false, "memory_bytes": 1,
        }))
    }

    #[test]
    fn a_result_is_valid_while_its_definition_is_and_a_failure_runs_again() -> Result<(), crate::TestError> {
        let folder = tempfile::tempdir()?;
        let places = cell::tests::places(folder.path());
        let cell = cell(&places)?;
        assert_eq!(cell.settings["learning_rate"].as_float(), Some(3e-3), "the family's");
        assert_eq!(cell.settings["seed"].as_integer(), Some(3));
        let planned = |alpha| -> Result<Planned, crate::TestError> {
            Ok(Planned::new(cell.clone(), Some(estimate(alpha)?), &places)?)
        };
        assert!(matches!(planned(16)?.state, State::Missing));

        let launch = Launch {
            program: Some("no program".into()),
            device: "cpu".into(),
            workers: Some(1),
            signal: Default::default(),
        };
        let mut cells = vec![planned(16)?];
        run(&mut cells, &launch, &places, 1, 1.0)?;
        let failure = cells[0].outcome().map(|outcome| outcome.end.clone());
        let shown =
            matches!(&failure, Some(End::Failure(text)) if text.contains("logs: RESULTS/runs/base.copa.lora.3"));
        assert!(shown, "{failure:?}");
        assert!(!planned(16)?.is_done(), "a failure is read again, and is not done");

        let held = lock::hold(&places.lock("base.copa.lora.3"))?;
        let mut again = vec![planned(16)?];
        run(&mut again, &launch, &places, 1, 1.0)?;
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
    fn time_is_estimated_from_the_cells_that_were_timed() -> Result<(), crate::TestError> {
        let folder = tempfile::tempdir()?;
        let places = cell::tests::places(folder.path());
        let mut planned = Planned::new(cell(&places)?, Some(estimate(16)?), &places)?;
        assert_eq!(planned.operations(), 4e9 + 3.0 * 1e9 + 2.0 * 1e9);
        assert_eq!(speed(&[planned.clone()], 5e9), 5e9, "nothing timed");
        let launch = Launch {
            program: Some("no program".into()),
            device: "cpu".into(),
            workers: None,
            signal: Default::default(),
        };
        let mut outcome = one(&planned.cell, &estimate(16)?, &launch, &places)?;
        (outcome.end, outcome.seconds) = (End::Result(Box::default()), 3.0);
        let mut paused = planned.clone();
        paused.state = State::Run(Box::new(Outcome { seconds: 900.0, ..outcome.clone() }));
        planned.state = State::Run(Box::new(outcome));
        let mut untuned = planned.clone();
        untuned.cell.is_trained = false;
        assert_eq!(speed(&[untuned], 5e9), 5e9, "a cell that only evaluates does not count");
        assert_eq!(speed(&[planned.clone(), paused, planned], 5e9), 3e9, "a paused cell does not count");
        Ok(())
    }
}
