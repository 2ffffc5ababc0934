#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batches;
mod benchmark;
mod error;
mod files;
mod guard;
mod json;
mod read;
mod row;
mod split;
pub mod text;
mod tokens;

pub use batches::{
    Batch, Buckets, Collation, DataSet, LabelScope, Layout, Order, Padding, by_tokens, epoch_batches,
    evaluation_batches,
};
#[cfg(feature = "burn")]
pub use batches::{ExampleBatcher, TensorBatch};
pub use benchmark::{Benchmark, Choice, DefinitionError, HubPlace, MultipleChoice};
pub use error::{DataError, HeaderError, RowError};
pub use files::{Content, RowReader};
pub use guard::silence_caught_panics;
pub use read::{OnBadRow, ReadReport, SplitItems, SplitReader, read_split, require_labels};
pub use row::{NumberedRow, Place, Row, Spot};
pub use split::{Split, SplitPart};
pub use tokens::{EncodeOptions, Encoder, Example, Scoring, Tokenizer, Truncation, train_tokenizer};
