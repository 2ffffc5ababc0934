//! One's own text as training data: conversations, prompts with completions, and plain texts.
//!
//! [`TextData::read`] reads files or folders and divides their rows into a training and a validation part; [`TextEncoder`] turns
//! rows into token ids with the ranges that have a loss. Conversations are rendered by the model's chat template in between.

mod alpaca;
mod content;
mod data;
mod division;
mod encode;
mod fields;
mod loss_on;
mod message;
mod rows;
mod shape;
mod share_gpt;
mod summary;

pub use content::{TextContent, TextRow};
pub use data::{TextData, TextOptions, TextSplits, Validation};
pub use encode::{Encoded, TextEncodeOptions, TextEncoder, TokenizedText};
pub use fields::TextFields;
pub use loss_on::LossOn;
pub use message::{JsonText, Message};
pub use rows::TextReport;
pub use shape::{ShapeError, TextShape};
pub use summary::{TextSummary, ValidationOrigin};
