//! Batches of examples: their order, their composition and their padded lengths.

mod batch;
mod buckets;
#[cfg(feature = "burn")]
mod burn;
mod order;
pub(crate) mod shuffle;

#[cfg(feature = "burn")]
pub use self::burn::{ExampleBatcher, TensorBatch};
pub use batch::{Batch, Collation, LabelScope, Padding};
pub use buckets::Buckets;
pub use order::{Order, epoch_batches, evaluation_batches};
