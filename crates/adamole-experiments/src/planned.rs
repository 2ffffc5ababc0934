//! Cells with their estimates and results.

use crate::{
    ExperimentError,
    cell::{Cell, Launch},
    estimate::Estimate,
    machine,
    outcome::Outcome,
    place::Places,
    results::median,
};
use std::{
    iter,
    panic::resume_unwind,
    sync::{Mutex, PoisonError},
    thread,
};

/// A cell with its estimate and its result.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) cell: Cell,
    /// `None` if the program is not built.
    pub(crate) estimate: Option<Estimate>,
    /// The state of its result.
    pub(crate) state: State,
}

/// The state of a cell's result.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// Never run.
    Missing,
    /// Run with another definition.
    Outdated,
    /// Run with this definition, with this result or failure.
    Run(Box<Outcome>),
}

impl Planned {
    /// Reads the result of a cell. Without an estimate, any result is valid.
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

    /// Whether the cell has a valid result.
    pub(crate) fn is_done(&self) -> bool {
        self.outcome().is_some_and(|outcome| outcome.numbers().is_some())
    }

    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        match &self.state {
            State::Run(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The operations of the matrix products; 0 without an estimate.
    pub(crate) fn operations(&self) -> f64 {
        self.estimate.as_ref().map_or(0.0, |estimate| estimate.operations(self.cell.is_trained))
    }
}

/// The speed in operations per second: the median of the finished trained cells, since some may have been paused; `otherwise`
/// without any. A cell that only evaluates is faster than those that train, which take the time.
pub(crate) fn speed(cells: &[Planned], otherwise: f64) -> f64 {
    let done = cells.iter().filter(|planned| planned.is_done() && planned.cell.is_trained).filter_map(Planned::outcome);
    let speeds: Vec<f64> =
        done.filter(|outcome| outcome.seconds > 0.0).map(|outcome| outcome.operations / outcome.seconds).collect();
    if speeds.is_empty() { otherwise } else { median(&speeds) }
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
    let planned = in_parallel(cells, machine::cores(), |cell: Cell| {
        let at_hand = may_fetch || Places::at_hand(&cell.settings);
        let estimate = |at_hand| Estimate::of(&cell, program, folder.path(), at_hand);
        // If the files cannot be read, the run reports it, and fails alone.
        let estimate = estimate(at_hand).or_else(|failure| estimate(false).map_err(|_| failure));
        estimate.and_then(|estimate| Planned::new(cell.clone(), Some(estimate), places))
    });
    planned.into_iter().collect()
}

/// The results of `work` for all items, in their order. `jobs` threads take the items in order.
pub(crate) fn in_parallel<T: Send, R: Send>(items: Vec<T>, jobs: usize, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(items.into_iter().enumerate());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || -> Vec<(usize, R)> { iter::from_fn(take).map(|(place, item)| (place, work(item))).collect() };
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}
