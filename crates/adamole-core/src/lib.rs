#![doc = include_str!("../README.md")]
//!
//! # What flows through an adapted linear
//!
//! For T tokens and N experts of rank r. All experts lie in one A and one B, so that a mixture is two products, whatever N is;
//! gate and threshold are rows of one more. What is on the left is frozen.
//!
//! ```text
//!                    x [T, d_in]
//!         ┌──────────────┼──────────────────────────┐
//!         │              │ dropout                  │
//!   W [d_out, d_in]  A [N r, d_in]    gate [N, d_in], threshold [1, d_in]
//!         │              │                          │
//!         │          A x [T, N r]           logits [T, N]
//!         │              │                          │
//!         │              │                   Router::route
//!         │              │                          ├── weights [T, N]
//!         │              × s repeat(weights, r) ────┤
//!         │              │                          └── active [T, N], thresholds [T, 1], balance [T, N]
//!         │       inner [T, N r]                                       │
//!         │              │                                             │
//!         │       B [d_out, N r]                                       │
//!         │              │                                             │
//!         └──────────────+                                             ▼
//!                    y [T, d_out]          ForwardContext: auxiliary_loss() [1], into_layers()
//! ```
//!
//! [`AdaptedLinear`] is this picture, [`Adapter`] all of it but W, and [`RouterInput`](router::RouterInput) and
//! [`Routing`](router::Routing) are what goes into a router and comes out. A [`Method`] says which of the parts there are.
//!
//! # Where to begin
//!
//! | you have | see |
//! |---|---|
//! | a Burn model to adapt | [`AdaptedLinear`], [`AdapterConfig`], [`ForwardContext`] |
//! | batches with padding, or packed texts | [`Rows`] |
//! | a file of adapters | `save_adapters` and `load_adapters`, with the feature `store` |
//! | a router of your own | [`Routed`], [`Router`](router::Router); for the program [`Method`], [`MethodKind::register`] |
//! | questions about routing | [`RoutingDetail`], [`LayerRouting`] |
//! | rows with different adapters on one base | [`RowGroup`], [`AdapterSet`] |

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
