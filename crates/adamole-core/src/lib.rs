#![doc = include_str!("../README.md")]

mod adapter;
mod balance;
mod config;
mod dropout;
mod error;
mod linear;
mod pass;
mod random;
pub mod router;

pub use adapter::{Adapter, Threshold};
pub use balance::load_balancing_loss;
pub use config::{AdapterConfig, Method, NumExperts, Probability, Rank, TauMax};
pub use dropout::DropoutSeed;
pub use error::ConfigError;
pub use linear::AdaptedLinear;
pub use pass::{Detail, Pass, SiteRouting, ValidRows};
pub use random::CounterRng;
