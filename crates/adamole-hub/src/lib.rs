#![doc = include_str!("../README.md")]

mod cache;
mod client;
mod error;
mod etag;
mod event;
mod folder;
mod hub;
mod remote;
mod source;
mod token;
mod transfer;
mod url;
mod variables;
mod wanted;

pub use cache::{Cache, Kind};
pub use client::Network;
pub use error::HubError;
pub use event::Event;
pub use hub::{ENDPOINT, Hub};
pub use source::Source;
pub use wanted::Wanted;
