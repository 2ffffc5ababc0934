#![doc = include_str!("../README.md")]

mod counted_bits;
#[cfg(feature = "flex")]
mod cpu;
mod dropout;
#[cfg(feature = "flex")]
mod nodes;
mod operations;
mod random;

pub use dropout::Dropout;
pub use operations::{
    adapter_input, can_dequantize, composed, cross_entropy_gradient, gate_scores, geglu, linear_with_update, margins,
    normalised, quantized_linear, rms_norm, rotated_heads, scaled_softmax, swiglu, weighted_experts, weighted_sum,
};
pub use random::CounterRng;
