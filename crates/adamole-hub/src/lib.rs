#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(feature = "online"), allow(dead_code, unused_variables, reason = "what only a hub needs"))]

mod cache;
mod error;
mod event;
mod hub;
mod network;
#[cfg(feature = "online")]
mod online;
mod source;
mod variables;
mod wanted;

pub use cache::{Cache, Kind};
pub use error::HubError;
pub use event::Event;
pub use hub::{ENDPOINT, Hub};
pub use network::Network;
#[cfg(feature = "online")]
pub use online::{Content, Pushed, Upload};
pub use source::Source;
pub use wanted::Wanted;
