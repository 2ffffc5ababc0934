//! Examples to batches: in which order, in which company, and how wide.

mod batch;
mod buckets;
#[cfg(feature = "burn")]
mod burn;
mod order;
pub(crate) mod shuffle;

#[cfg(feature = "burn")]
pub use self::burn::{ExampleBatcher, Examples, TensorBatch};
pub use batch::{Batch, Collation, LabelScope, Padding};
pub use buckets::Buckets;
pub use order::{Order, epoch_batches, evaluation_batches};
