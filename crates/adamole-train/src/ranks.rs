//! Ranks: processes that share the micro-batches of a run, on one machine or on several.
//!
//! Every rank has the base and the adapters, computes some micro-batches of each step and some batches of each validation, and
//! hears what the others computed. Gradients are added over a tree that does not depend on the number of ranks
//! ([`SumTree`](crate::sum_tree::SumTree)), so that a run is the same for any number of them.

use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// Messages between the ranks of a run. An implementation stands for one rank.
pub trait Ranks: Debug + Send + Sync {
    /// This rank, counted from 0. Rank 0 writes what a run leaves.
    fn rank(&self) -> usize;

    /// Ranks in all.
    fn count(&self) -> usize;

    /// Sends `parts[rank]` to every rank, and returns what every rank has sent to this one, in the order of ranks. All ranks
    /// call it equally often, from one thread. Rank 0, which has a run to save, asks `stop` while it waits; the others wait for it.
    ///
    /// # Errors
    /// A rank cannot be reached, or the wait was given up.
    fn exchange(&self, parts: Vec<Vec<u8>>, stop: &dyn Fn() -> bool) -> Result<Vec<Vec<u8>>, RankError>;
}

/// Ranks that do not work together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RankError {
    /// A message did not arrive.
    #[error("the ranks of the run have lost each other: {0}")]
    Lost(String),
    /// The wait for the others was given up.
    #[error("stopped while waiting for other ranks")]
    Stopped,
    /// A message is not what was expected, as that of another version of the program.
    #[error("rank {rank} has sent something else than was expected: {what}")]
    Unexpected {
        /// Who.
        rank: usize,
        /// What.
        what: String,
    },
    /// The adapters, which are the same on all ranks, no longer are.
    #[error("the adapters of rank {rank} are no longer those of rank 0")]
    Apart {
        /// The first rank that differs.
        rank: usize,
    },
}

/// Tells all ranks `value`, and returns what every rank had to say, in the order of ranks.
///
/// # Errors
/// Those of [`Ranks::exchange`]; a rank says something that is no `T`.
pub fn tell<T: Serialize + DeserializeOwned>(
    ranks: &dyn Ranks,
    value: &T,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<T>, RankError> {
    // Not JSON: what is not finite has to arrive as it is.
    let unexpected = |rank, what: &dyn ToString| RankError::Unexpected { rank, what: what.to_string() };
    let bytes = rmp_serde::to_vec_named(value).map_err(|error| unexpected(ranks.rank(), &error))?;
    let told = ranks.exchange(vec![bytes; ranks.count()], stop)?;
    let read =
        |(rank, bytes): (usize, Vec<u8>)| rmp_serde::from_slice(&bytes).map_err(|error| unexpected(rank, &error));
    told.into_iter().enumerate().map(read).collect()
}
