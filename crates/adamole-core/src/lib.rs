#![doc = include_str!("../README.md")]

mod adapter;
mod balance;
mod config;
mod context;
mod dropout;
mod error;
mod linear;
pub mod router;
mod rows;
mod setting;

pub use adamole_kernels::CounterRng;
pub use adapter::{Adapter, Threshold};
pub use balance::load_balancing_loss;
pub use config::{AdapterConfig, CapacityFactor, Method, NumExperts, Probability, Rank, Selection, TauMax, TopK, TopP};
pub use context::{ForwardContext, RoutedRows, RoutingDetail, RowCounts, SiteRouting};
pub use dropout::{DropoutScope, DropoutSeed};
pub use error::SettingError;
pub use linear::AdaptedLinear;
pub use rows::{Rows, ValidRows};
pub use setting::{Setting, SettingKind, SettingValue};
