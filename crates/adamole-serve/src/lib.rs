#![doc = include_str!("../README.md")]

mod engine;
mod http;
mod limits;
mod metrics;
mod models;

pub use http::{Access, ServeError, serve};
pub use limits::Limits;
pub use models::{Models, RoutedAdapter, Served};
