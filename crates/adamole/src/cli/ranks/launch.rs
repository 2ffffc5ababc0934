//! Whether this process was started as one of several.

use super::{Failure, Member};
#[cfg(feature = "mpi")]
use adamole::train::Ranks;
use std::{env, sync::Arc};

/// Variables with the number of processes that were started together and with the place of this one among them, and what sets
/// them. A job of Slurm alone is one process: its steps are started by srun.
const VARIABLES: [(&str, &str, &str); 3] = [
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "mpirun"),
    ("PMI_SIZE", "PMI_RANK", "mpirun"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun"),
];

/// Several processes that were started together.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) count: usize,
    pub(super) by: &'static str,
    /// Whether this one is to talk.
    pub(super) is_first: bool,
}

/// `None` for a process of its own.
pub(super) fn found() -> Option<Launched> {
    let number = |name: &str| env::var(name).ok()?.parse::<usize>().ok();
    VARIABLES.into_iter().find_map(|(size, rank, by)| {
        let count = number(size).filter(|count| *count > 1)?;
        Some(Launched { count, by, is_first: number(rank).is_none_or(|rank| rank == 0) })
    })
}

impl Launched {
    #[cfg(feature = "mpi")]
    pub(super) fn join(&self) -> Result<Arc<dyn Member>, Failure> {
        let joined = super::mpi::Mpi::join()?;
        match joined.count() {
            // Each would do the whole run.
            1 => Err(Failure::Usage(format!(
                "{} has started {} processes, and MPI knows of one: start the program with the mpirun of the MPI that it was built \
                 with, or with `srun --mpi=pmix` or pmi2, as `srun --mpi=list` says",
                self.by, self.count
            ))),
            _ => Ok(Arc::new(joined)),
        }
    }

    #[cfg(not(feature = "mpi"))]
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "as with MPI")]
    pub(super) fn join(&self) -> Result<Arc<dyn Member>, Failure> {
        Err(Failure::Usage(format!(
            "{} has started {} processes of a program that was built without MPI, and each would do the whole run: build it with \
             `cargo build --release --workspace --features adamole/mpi`",
            self.by, self.count
        )))
    }
}
