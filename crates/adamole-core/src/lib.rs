#![doc = include_str!("../README.md")]

mod adapter;
mod balance;
mod config;
mod dropout;
mod error;
mod linear;
mod pass;
pub mod router;
mod rows;

pub use adamole_kernels::CounterRng;
pub use adapter::{Adapter, Threshold};
pub use balance::load_balancing_loss;
pub use config::{AdapterConfig, CapacityFactor, Method, NumExperts, Probability, Rank, Selection, TauMax, TopK, TopP};
pub use dropout::{DropoutScope, DropoutSeed};
pub use error::ConfigError;
pub use linear::AdaptedLinear;
pub use pass::{Detail, Pass, RoutedRows, RowCounts, SiteRouting};
pub use rows::{Rows, ValidRows};
