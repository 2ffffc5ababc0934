//! Worker threads for micro-batches side by side on the CPU.
//!
//! Two micro-batches on one thread each are done sooner than one after the other on two. The cores of workers without a job
//! are for the operations of the others, so that few or long micro-batches keep all cores busy too. Results come back in the
//! order of the jobs, so that what is summed does not depend on how many workers there are.

use adamole_kernels::Team;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A fixed set of workers of one thread each.
#[derive(Debug, Clone)]
pub struct Workers {
    pools: Arc<Vec<ThreadPool>>,
}

impl Workers {
    /// `count` workers; 1 runs jobs on the calling thread with whatever parallelism the backend has of its own, which is
    /// right for a GPU.
    pub fn new(count: usize) -> Self {
        let pool = || ThreadPoolBuilder::new().num_threads(1).build();
        // Where threads cannot be had the jobs run one after the other, with the same result.
        let pools = if count > 1 { (0..count).map(|_| pool()).collect::<Result<_, _>>() } else { Ok(Vec::new()) };
        Self { pools: Arc::new(pools.unwrap_or_default()) }
    }

    /// How many jobs are done at a time.
    pub fn count(&self) -> usize {
        self.pools.len().max(1)
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
