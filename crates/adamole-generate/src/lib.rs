#![doc = include_str!("../README.md")]

mod stop_strings;
mod text_generator;
mod text_stream;

pub use stop_strings::{Released, StopStrings};
pub use text_generator::{GenerateError, GeneratedText, Piece, TextGenerator, TextRow};
pub use text_stream::TextStream;
