//! The crate from outside: files to items, items to token ids.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod any_bytes;
mod encoding;
mod own_benchmark;
mod parquet_values;
mod published;
mod reading;
mod real_data;
mod text_encoding;
mod text_rows;
mod tokenizer;
mod toy_tokenizers;
