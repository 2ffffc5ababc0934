#![doc = include_str!("../README.md")]

mod adapter;
mod auxiliary;
mod context;
mod dropout;
mod error;
mod groups;
mod linear;
mod method;
mod numbers;
mod parameters;
mod routed_block;
pub mod router;
mod rows;
#[doc(hidden)]
pub mod setting;
mod singular;
#[cfg(feature = "store")]
mod store;

pub use adamole_kernels::CounterRng;
pub use adapter::{Adapter, AdapterConfig};
pub use context::{ForwardContext, LayerRouting, RoutingDetail};
pub use dropout::{DropoutScope, DropoutSeed};
pub use error::SettingError;
pub use groups::{AdapterSet, RowGroup};
pub use linear::{AdaptedLinear, LinearError};
pub use method::*;
pub use numbers::{CapacityFactor, NumExperts, Probability, Rank, TauMax, TopK, TopP};
pub use parameters::{AdapterShape, Initial, ParameterSpec, ParameterValue, SharedIdentity, SharedParameters};
pub use routed_block::RoutedBlock;
pub use router::load_balancing_loss;
pub use rows::{Rows, ValidRows};
pub use setting::{Setting, SettingDefault, SettingGroup, SettingKind, SettingMap};
#[cfg(feature = "store")]
pub use store::{AdapterMismatch, StoreError, load_adapters, save_adapters};
