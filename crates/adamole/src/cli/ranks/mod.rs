//! Several processes on one run, which `mpirun` or `srun` has started: rank 0 talks and writes, the others compute.

mod launch;
#[cfg(feature = "mpi")]
mod mpi;

use super::{Failure, inputs::workers};
use adamole::train::{RankError, Ranks, Workers, tell};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether this process keeps silent.
static SILENT: AtomicBool = AtomicBool::new(false);

/// Whether this process is one of several and not the one that talks.
pub(crate) fn is_silent() -> bool {
    SILENT.load(Ordering::Relaxed)
}

/// The processes of a run, of which this is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crew {
    ranks: Option<Arc<dyn Member>>,
}

/// A rank of a run that ends.
trait Member: Ranks {
    /// This process among those of its machine, and their number.
    fn local(&self) -> (usize, usize);

    /// The name of its machine.
    fn machine(&self) -> String;

    /// Ends this rank. Rank 0 has saved everything, and the others wait until it has. `exit_code` ends all where messages are
    /// left that no one will receive.
    fn leave(&self, exit_code: u8);
}

/// What ranks have to agree on before they begin.
#[derive(Serialize, Deserialize)]
struct Standing<T> {
    machine: String,
    program: String,
    ready: Result<T, String>,
}

impl Crew {
    /// Joins the processes that `mpirun` or `srun` has started together, if it has.
    ///
    /// # Errors
    /// The program was built without MPI.
    pub(crate) fn join() -> Result<Self, Failure> {
        let Some(launched) = launch::found() else { return Ok(Self::default()) };
        SILENT.store(!launched.is_first, Ordering::Relaxed);
        let crew = Self { ranks: Some(launched.join()?) };
        SILENT.store(!crew.is_first(), Ordering::Relaxed);
        Ok(crew)
    }

    /// For a command that is one process's alone.
    ///
    /// # Errors
    /// It is one of several.
    pub(crate) fn alone() -> Result<Self, Failure> {
        launch::found().map_or(Ok(Self::default()), |launched| {
            SILENT.store(!launched.is_first, Ordering::Relaxed);
            Err(Failure::Usage(format!(
                "{} has started {} processes, and only `adamole train` and `adamole evaluate` can be shared by several",
                launched.by, launched.count
            )))
        })
    }

    /// Whether this is rank 0 or the only process.
    pub(crate) fn is_first(&self) -> bool {
        self.ranks.as_ref().is_none_or(|ranks| ranks.rank() == 0)
    }

    /// The ranks, where there are several.
    pub(crate) fn ranks(&self) -> Option<&dyn Ranks> {
        self.ranks.as_ref().map(|ranks| ranks.as_ref() as &dyn Ranks)
    }

    /// Processes of the crew on this machine, which share its memory.
    pub(crate) fn on_this_machine(&self) -> usize {
        self.ranks.as_ref().map_or(1, |ranks| ranks.local().1)
    }

    /// Workers of this rank: by default its share of the cores on the CPU, one on a GPU.
    pub(crate) fn workers(&self, asked: Option<usize>, on_cpu: bool) -> Workers {
        let share = (all_cores() / self.on_this_machine()).max(1);
        let count = workers(asked, on_cpu);
        let workers = Workers::new(if asked.is_none() { count.min(share) } else { count });
        match &self.ranks {
            Some(ranks) => workers.of_rank(ranks.clone()),
            None => workers,
        }
    }

    /// The device of this rank: of GPUs each rank of a machine has its own.
    ///
    /// # Errors
    /// Several devices are named.
    pub(crate) fn device(&self, names: &str) -> Result<String, Failure> {
        let Some((index, _)) = self.ranks.as_ref().map(|ranks| ranks.local()) else { return Ok(names.to_owned()) };
        if names.contains(',') {
            return Err(Failure::Usage(format!("--device {names}: each of several ranks has one device")));
        }
        Ok(adamole::device::of_process(names, index))
    }

    /// What rank 0 does alone, and what the others make of what it has `told` them.
    ///
    /// # Errors
    /// It failed, on whichever rank.
    pub(crate) fn lead<T, U: Serialize + DeserializeOwned>(
        &self,
        work: impl FnOnce() -> Result<T, Failure>,
        told: impl FnOnce(&T) -> U,
        follow: impl FnOnce(U) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(ranks) = &self.ranks else { return work() };
        let work = if self.is_first() { Some(work()) } else { None };
        let message = work.as_ref().map(|work| work.as_ref().map(told).map_err(Failure::unprefixed));
        let heard = tell(ranks.as_ref(), &message, &|| false).map_err(Failure::ranks)?;
        match (work, heard.into_iter().next().flatten()) {
            (Some(work), _) => work,
            (None, Some(Ok(told))) => follow(told),
            (None, Some(Err(message))) => Err(Failure::Elsewhere(message)),
            (None, None) => Err(Failure::ranks(RankError::Unexpected { rank: 0, what: "nothing".into() })),
        }
    }

    /// Waits until all ranks have come so far, with what `same` they have to have in common.
    ///
    /// # Errors
    /// One of them has failed, or has something else.
    pub(crate) fn agree<T, U: Serialize + DeserializeOwned>(
        &self,
        work: Result<T, Failure>,
        same: impl FnOnce(&T) -> Result<U, Failure>,
        differences: impl Fn(&U, &U) -> Vec<String>,
    ) -> Result<T, Failure> {
        let Some(ranks) = &self.ranks else { return work };
        let (work, ready) = match work.and_then(|work| same(&work).map(|same| (work, same))) {
            Ok((work, same)) => (Ok(work), Ok(same)),
            Err(failure) => {
                let message = failure.unprefixed();
                (Err(failure), Err(message))
            }
        };
        let program = env!("ADAMOLE_VERSION").to_owned();
        let all = tell(ranks.as_ref(), &Standing { machine: ranks.machine(), program, ready }, &|| false);
        let all: Vec<Standing<U>> = all.map_err(Failure::ranks)?;
        let work = work?;
        let failed = |(rank, standing): (usize, &Standing<U>)| {
            let what = match (&standing.ready, &all[0].ready) {
                (Err(message), _) => message.clone(),
                _ if standing.program != all[0].program => {
                    format!("it is adamole {}, and rank 0 adamole {}", standing.program, all[0].program)
                }
                (Ok(own), Ok(first)) => {
                    let differences = differences(own, first);
                    (!differences.is_empty()).then(|| format!("it differs from rank 0: {}", differences.join("; ")))?
                }
                _ => return None,
            };
            Some(Failure::Elsewhere(format!("rank {rank} on {}: {what}", standing.machine)))
        };
        all.iter().enumerate().find_map(failed).map_or(Ok(work), Err)
    }

    /// Ends this rank of the crew.
    pub(crate) fn leave(&self, exit_code: u8) {
        if let Some(ranks) = &self.ranks {
            ranks.leave(exit_code);
        }
    }
}

/// The cores of the machine, of which this process may be bound to a part.
fn all_cores() -> usize {
    #[cfg(unix)]
    // SAFETY: asks for a number.
    let cores = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    #[cfg(not(unix))]
    let cores = -1_i64;
    usize::try_from(cores).ok().filter(|cores| *cores > 0).unwrap_or(usize::MAX)
}
