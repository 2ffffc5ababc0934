#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adamw;
mod adapter_products;
mod cached;
mod choices;
mod counted_bits;
#[cfg(feature = "flex")]
mod cpu;
#[cfg_attr(not(feature = "flex"), allow(dead_code, reason = "only the kernels of the CPU share operations"))]
mod crew;
mod dropout;
#[cfg(feature = "cube")]
mod gpu;
#[cfg(feature = "kernels")]
mod nodes;
mod operations;
mod random;
mod routing;
mod square_sums;
#[cfg_attr(not(feature = "flex"), allow(dead_code, reason = "only the kernels of the CPU share operations"))]
mod team;
#[cfg_attr(not(feature = "flex"), allow(dead_code, reason = "only the kernels of the CPU look at single queries"))]
mod visibility;
#[cfg(feature = "flex")]
mod wide;

pub use adamw::{AdamWStep, adamw};
pub use adapter_products::AdapterProducts;
pub use cached::{CachedSequence, cached_attention, gathered_attention};
pub use choices::{top_choices, top_k};
pub use dropout::Dropout;
#[cfg(feature = "cube")]
#[doc(hidden)]
pub use gpu::limit_attention_scores;
pub use operations::{
    Attended, AttentionScores, adapter_input, attention, attention_again, attention_to_keep, can_dequantize, composed,
    cross_entropy_gradient, gate_scores, geglu, linear, linear_gradient, linear_with_update, normalised,
    quantized_linear, quantized_linear_with_update, rms_norm, rotated_heads, swiglu, weighted_experts, weighted_sum,
};
pub use random::CounterRng;
pub use routing::{AdaptiveRouting, LoadBalance, adaptive_routing, load_balance};
pub use square_sums::square_sums;
pub use team::Team;
pub use visibility::Visibility;
