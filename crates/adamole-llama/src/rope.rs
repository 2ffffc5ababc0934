//! Rotary position embedding in the half-split layout of Hugging Face checkpoints (Su et al. 2021).

use burn::tensor::{Device, Tensor, TensorData};

/// Cosines and sines for positions `0..length`, each `[1, 1, length, head_dim]`.
#[derive(Debug, Clone)]
pub(crate) struct Rotary {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Rotary {
    /// `theta` is the base of the wavelengths; `head_dim` is even.
    pub(crate) fn new(length: usize, head_dim: usize, theta: f32, device: &Device) -> Self {
        let half = head_dim / 2;
        let frequencies: Vec<f32> = (0..half).map(|j| 1.0 / theta.powf(2.0 * j as f32 / head_dim as f32)).collect();
        let angles: Vec<f32> = (0..length)
            .flat_map(|t| frequencies.iter().chain(&frequencies).map(move |frequency| t as f32 * frequency))
            .collect();
        let table = |f: fn(f32) -> f32| {
            let values = angles.iter().copied().map(f).collect::<Vec<_>>();
            Tensor::from_data(TensorData::new(values, [1, 1, length, head_dim]), device)
        };
        Self { cos: table(f32::cos), sin: table(f32::sin) }
    }

    /// Rotates queries or keys `[B, heads, length, head_dim]`.
    pub(crate) fn apply(&self, x: Tensor<4>) -> Tensor<4> {
        let half = x.dims()[3] / 2;
        let first = x.clone().narrow(3, 0, half);
        let second = x.clone().narrow(3, half, half);
        let rotated = Tensor::cat(vec![second.neg(), first], 3);
        x * self.cos.clone() + rotated * self.sin.clone()
    }
}
