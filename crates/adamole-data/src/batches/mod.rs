//! Batches of examples: their order, their composition and their padded lengths.

mod batch;
mod buckets;
#[cfg(feature = "burn")]
mod burn;
mod order;
mod set;
pub(crate) mod shuffle;

#[cfg(feature = "burn")]
pub use self::burn::{ExampleBatcher, TensorBatch};
pub use batch::{Batch, Collation, LabelScope, Layout, Padding};
pub use buckets::Buckets;
pub use order::{Order, by_tokens, epoch_batches, evaluation_batches};
pub use set::TrainingSet;
