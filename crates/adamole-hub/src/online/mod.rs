//! Requests to a hub. Without this module, the crate knows folders and the cache.

mod client;
mod fetch;
mod folder;
mod push;
mod refusal;
mod remote;
mod transfer;
mod xet;

pub(crate) use client::check_proxies;
pub use push::{Content, Pushed, Upload};
