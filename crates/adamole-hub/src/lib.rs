#![doc = include_str!("../README.md")]

mod cache;
mod error;
mod source;

pub use cache::{Cache, Kind};
pub use error::HubError;
pub use source::Source;
