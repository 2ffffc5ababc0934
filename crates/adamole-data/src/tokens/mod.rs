//! Items as token ids.

mod cache;
mod encode;
mod letters;
mod soundness;
mod special_tokens;
mod tokenizer;
mod train_tokenizer;
mod truncate;

pub use encode::{EncodeOptions, Encoder, Example, Scoring, Truncation};
pub use tokenizer::Tokenizer;
pub(crate) use tokenizer::{OwnTokens, Pieces};
pub use train_tokenizer::train_tokenizer;
