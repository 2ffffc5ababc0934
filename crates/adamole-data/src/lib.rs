#![doc = include_str!("../README.md")]

mod batch;
mod benchmarks;
mod encode;
mod error;
mod item;
mod letters;
mod plan;
mod read;
mod row;
mod shuffle;
mod special_tokens;
mod split;
mod tokenizer;
mod train_tokenizer;

pub use batch::{Batch, LabelScope};
pub use benchmarks::Benchmark;
pub use encode::{EncodeOptions, Encoder, Example};
pub use error::DataError;
pub use item::{Choice, Item};
pub use plan::{plan_epoch, plan_evaluation};
pub use read::{SplitReader, read_split, require_labels};
pub use row::RowError;
pub use split::Split;
pub use tokenizer::Tokenizer;
pub use train_tokenizer::train_tokenizer;
