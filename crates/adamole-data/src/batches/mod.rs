//! Batches of examples: their order, their composition and their padded lengths.

mod batch;
mod buckets;
#[cfg(feature = "burn")]
mod burn;
mod data_set;
mod order;
pub(crate) mod shuffle;

#[cfg(feature = "burn")]
pub use self::burn::{ExampleBatcher, TensorBatch};
pub use batch::{Batch, Collation, LabelScope, Layout, Padding};
pub use buckets::Buckets;
pub use data_set::DataSet;
pub use order::{Order, by_tokens, epoch_batches, evaluation_batches};
