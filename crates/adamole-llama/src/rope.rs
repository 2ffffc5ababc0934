//! Rotary position embedding in the half-split layout of Hugging Face checkpoints (Su et al. 2021).

use crate::{Llama3Rope, ModelConfig, precision::narrowed};
use adamole_kernels::rotated_heads;
use burn::tensor::{Device, Tensor, TensorData};
use std::{f32::consts::PI, ops::Range};

/// Cosines and sines for a range of positions, each `[1, 1, length, head_dim]`.
#[derive(Debug, Clone)]
pub(crate) struct Rotary {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Rotary {
    pub(crate) fn new(positions: Range<usize>, config: &ModelConfig, device: &Device) -> Self {
        let (length, dim) = (positions.len(), config.head_dim);
        let frequencies = frequencies(config);
        let angles: Vec<f32> = positions
            .flat_map(|t| frequencies.iter().chain(&frequencies).map(move |frequency| t as f32 * frequency))
            .collect();
        let table = |f: fn(f32) -> f32| {
            let values = angles.iter().copied().map(f).collect::<Vec<_>>();
            Tensor::from_data(TensorData::new(values, [1, 1, length, dim]), device)
        };
        Self { cos: table(f32::cos), sin: table(f32::sin) }
    }

    /// For tensors with autodiff.
    pub(crate) fn tracked(&self) -> Self {
        Self { cos: Tensor::from_inner(self.cos.clone()), sin: Tensor::from_inner(self.sin.clone()) }
    }

    /// Queries or keys of so many heads, turned: `[B L, heads head_dim]` to `[B, heads, L, head_dim]`.
    pub(crate) fn split(&self, x: Tensor<2>, heads: usize) -> Tensor<4> {
        let dtype = x.dtype();
        rotated_heads(x, narrowed(self.cos.clone(), dtype), narrowed(self.sin.clone(), dtype), heads)
    }
}

/// Radians per position, for each pair of a head's dimensions.
fn frequencies(config: &ModelConfig) -> Vec<f32> {
    let plain = |j| 1.0 / config.rope_theta.powf(2.0 * j as f32 / config.head_dim as f32);
    let scaled = |frequency| config.rope_scaling.map_or(frequency, |rope| stretched(frequency, rope));
    (0..config.head_dim / 2).map(plain).map(scaled).collect()
}

/// Short wavelengths stay, long ones are stretched, those between pass over smoothly (Llama 3.1).
fn stretched(frequency: f32, rope: Llama3Rope) -> f32 {
    let context = rope.original_max_position_embeddings as f32;
    let wavelength = 2.0 * PI / frequency;
    if wavelength < context / rope.high_freq_factor {
        frequency
    } else if wavelength > context / rope.low_freq_factor {
        frequency / rope.factor
    } else {
        let kept = (context / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
        (1.0 - kept) * frequency / rope.factor + kept * frequency
    }
}
