#![doc = include_str!("../README.md")]

mod batches;
mod benchmark;
mod error;
mod files;
mod guard;
mod multiple_choice;
mod named;
mod place;
mod read;
mod row;
mod row_error;
mod split;
mod split_part;
mod tokens;

pub use batches::{Batch, Buckets, Collation, LabelScope, Order, Padding, epoch_batches, evaluation_batches};
#[cfg(feature = "burn")]
pub use batches::{ExampleBatcher, Examples, TensorBatch};
pub use benchmark::{Benchmark, HubPlace};
pub use error::DataError;
pub use files::{Content, NumberedRow};
pub use guard::panics_are_caught;
pub use multiple_choice::{Choice, MultipleChoice};
pub use place::{Place, Spot};
pub use read::{OnBadRow, ReadReport, RowReader, SplitItems, SplitReader, read_split, require_labels};
pub use row::Row;
pub use row_error::RowError;
pub use split::Split;
pub use split_part::SplitPart;
pub use tokens::{EncodeOptions, Encoder, Example, Scoring, Tokenizer, Truncation, train_tokenizer};
