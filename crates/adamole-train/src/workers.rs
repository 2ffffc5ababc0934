//! Worker threads for micro-batches side by side on the CPU.
//!
//! Two micro-batches on one thread each are done sooner than one after the other on two. The cores of workers without a job
//! are for the operations of the others, so that few or long micro-batches keep all cores busy too. Results come back in the
//! order of the jobs, so that what is summed does not depend on how many workers there are.

use crate::{RankError, Ranks, ranks::tell};
use adamole_kernels::Team;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A fixed set of workers of one thread each, and where a run has several ranks, their counterparts on the others.
#[derive(Debug, Clone)]
pub struct Workers {
    pools: Arc<Vec<ThreadPool>>,
    ranks: Option<Arc<dyn Ranks>>,
}

impl Workers {
    /// `count` workers; 1 runs jobs on the calling thread with whatever parallelism the backend has of its own, which is
    /// right for a GPU.
    pub fn new(count: usize) -> Self {
        // The pool of the operations outside of workers comes first: a machine's last threads are not for the workers.
        let _already_there = ThreadPoolBuilder::new().build_global();
        let pool = || ThreadPoolBuilder::new().num_threads(1).build();
        // Where threads cannot be had the jobs run one after the other, with the same result.
        let pools = if count > 1 { (0..count).map(|_| pool()).collect::<Result<_, _>>() } else { Ok(Vec::new()) };
        Self { pools: Arc::new(pools.unwrap_or_default()), ranks: None }
    }

    /// These workers are of one of several ranks, which share the work of validations and of steps. One rank alone is as
    /// none.
    pub fn of_rank(self, ranks: Arc<dyn Ranks>) -> Self {
        Self { ranks: (ranks.count() > 1).then_some(ranks), ..self }
    }

    /// The ranks of the run, where there are several.
    pub(crate) fn ranks(&self) -> Option<&dyn Ranks> {
        self.ranks.as_deref()
    }

    /// How many jobs are done at a time.
    pub fn count(&self) -> usize {
        self.pools.len().max(1)
    }

    /// The jobs that each rank has of so many, a run of neighbours.
    pub(crate) fn runs(&self, jobs: usize) -> Vec<Range<usize>> {
        let ranks = self.ranks().map_or(1, Ranks::count);
        (0..ranks).map(|rank| rank * jobs / ranks..(rank + 1) * jobs / ranks).collect()
    }

    /// What every rank has to say, in the order of ranks; of a run without ranks it is `value` alone.
    pub(crate) fn tell<T: Serialize + DeserializeOwned>(
        &self,
        value: T,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<T>, RankError> {
        match self.ranks() {
            None => Ok(vec![value]),
            Some(ranks) => tell(ranks, &value, stop),
        }
    }

    /// [`Self::map`] with the jobs dealt to all ranks, which ask `stop` before each; `None` once it is true on one of them.
    pub(crate) fn share<J: Sync, R: Send + Serialize + DeserializeOwned>(
        &self,
        jobs: &[J],
        stop: &(dyn Fn() -> bool + Sync),
        work: impl Fn(&J) -> R + Sync,
    ) -> Result<Option<Vec<R>>, RankError> {
        let unless_stopped = |job: &&J| (!stop()).then(|| work(job));
        let Some(ranks) = self.ranks() else {
            return Ok(self.map(&jobs.iter().collect::<Vec<_>>(), unless_stopped).into_iter().collect());
        };
        let mine: Vec<&J> = jobs.iter().skip(ranks.rank()).step_by(ranks.count()).collect();
        let done: Option<Vec<R>> = self.map(&mine, unless_stopped).into_iter().collect();
        let told: Option<Vec<Vec<R>>> = tell(ranks, &done, stop)?.into_iter().collect();
        // Dealt in turn, so taken back in turn.
        Ok(told.map(|told| {
            let mut told: Vec<_> = told.into_iter().map(Vec::into_iter).collect();
            (0..jobs.len()).filter_map(|job| told[job % ranks.count()].next()).collect()
        }))
    }

    /// Applies `work` to every job and returns the results in the order of the jobs.
    pub fn map<J: Sync, R: Send>(&self, jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
        if self.pools.is_empty() {
            return jobs.iter().map(work).collect();
        }
        let team = Team::new();
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::with_capacity(jobs.len()));
        let take_jobs = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(index) else { return };
                let result = work(job);
                results.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push((index, result));
            }
        };
        thread::scope(|scope| {
            for pool in self.pools.iter() {
                scope.spawn(|| {
                    pool.install(|| team.work(take_jobs));
                });
            }
        });
        let mut results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        results.sort_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..50).collect();
        let work = |&job: &u64| {
            thread::sleep(std::time::Duration::from_micros(50 - job));
            job * job
        };
        assert_eq!(Workers::new(3).map(&jobs, work), Workers::new(1).map(&jobs, work));
    }
}
