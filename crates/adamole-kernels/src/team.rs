//! Threads that share the parts of an operation.
//!
//! A worker has a thread and jobs of its own. For one that has no job left, a helper thread takes part in the operations of
//! the others, so that a long job does not leave cores idle at the end. How an operation is divided never changes its result.

use crate::crew::with_helpers;
use std::{
    cell::RefCell,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

thread_local! {
    static TEAM: RefCell<Option<Team>> = const { RefCell::new(None) };
}

/// Workers that share the cores of those of them who are idle.
#[derive(Debug, Clone, Default)]
pub struct Team {
    /// Workers without a job.
    idle: Arc<AtomicUsize>,
}

impl Team {
    /// A team with nobody idle.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does a worker's jobs. Its operations use idle members of the team, and afterwards it is one.
    pub fn work<R>(&self, jobs: impl FnOnce() -> R) -> R {
        let before = TEAM.replace(Some(self.clone()));
        let result = jobs();
        TEAM.set(before);
        self.idle.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// Takes at most so many idle members, and returns how many.
    fn take(&self, most: usize) -> usize {
        let take = |idle: usize| (idle > 0).then(|| idle - idle.min(most));
        self.idle.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map_or(0, |idle| idle.min(most))
    }
}

/// How many threads would share an operation now.
pub(crate) fn threads() -> usize {
    let team = TEAM.with_borrow(|team| team.as_ref().map(|team| team.idle.load(Ordering::Relaxed) + 1));
    team.unwrap_or_else(rayon::current_num_threads)
}

/// Does `work` on every part. Threads take parts in order: the caller's, and helpers in place of the idle ones of its team or
/// of the other threads of its pool.
pub(crate) fn share<P: Send>(parts: Vec<P>, work: impl Fn(P) + Sync) {
    let most = parts.len().saturating_sub(1);
    let parts = Mutex::new(parts.into_iter());
    let next = || parts.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
    let all = || {
        while let Some(part) = next() {
            work(part);
        }
    };
    match TEAM.with_borrow(Option::clone) {
        Some(team) => {
            let helpers = team.take(most);
            with_helpers(helpers, &all);
            team.idle.fetch_add(helpers, Ordering::Relaxed);
        }
        None => with_helpers(most.min(rayon::current_num_threads() - 1), &all),
    }
}

/// Elements that are worth a part.
pub(crate) const PART: usize = 1 << 15;

/// What `make` makes of each part of `elements` elements in rows of `width`; small ones are one part.
pub(crate) fn made_parts<T: Send>(elements: usize, width: usize, make: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let threads = threads().min(elements / PART).max(1);
    if threads == 1 {
        return vec![make(0..elements)];
    }
    let part = (elements / width).div_ceil(2 * threads) * width;
    let starts: Vec<usize> = (0..elements).step_by(part).collect();
    let mut parts: Vec<Option<T>> = starts.iter().map(|_| None).collect();
    share(starts.into_iter().zip(&mut parts).collect(), |(start, made)| {
        *made = Some(make(start..(start + part).min(elements)));
    });
    parts.into_iter().flatten().collect()
}

/// A vector of `elements` elements in rows of `width`, whose parts `extend` appends.
pub(crate) fn made(elements: usize, width: usize, extend: impl Fn(Range<usize>, &mut Vec<f32>) + Sync) -> Vec<f32> {
    joined(made_parts(elements, width, |part| {
        let mut made = Vec::with_capacity(part.len());
        extend(part, &mut made);
        made
    }))
}

/// All parts, one after the other.
pub(crate) fn joined(mut parts: Vec<Vec<f32>>) -> Vec<f32> {
    if parts.len() == 1 { parts.remove(0) } else { parts.concat() }
}

/// Changes rows of `width` elements in parts: `work` gets the index of a part's first row, and its rows.
pub(crate) fn in_rows<T: Send>(values: &mut [T], width: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let (rows, threads) = (values.len() / width.max(1), threads().min(values.len() / PART).max(1));
    if threads == 1 {
        return work(0, values);
    }
    let part = rows.div_ceil(2 * threads);
    share(values.chunks_mut(part * width).enumerate().collect(), |(index, values)| work(index * part, values));
}
