//! Inverted dropout whose mask is a function of (seed, step, micro-batch, site, element): the same on every
//! backend, for any number of workers and after any interruption.

use crate::{CounterRng, Probability};
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Which experts share a mask on their input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DropoutScope {
    /// All those of a layer, so that they are one product.
    #[default]
    Layer,
    /// None: every expert draws its own, as published, and is a product of its own.
    Expert,
}

/// Names one micro-batch of one run; every adapted linear draws its own mask from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropoutSeed {
    /// The run's seed.
    pub run: u64,
    /// Optimizer step.
    pub step: u64,
    /// Micro-batch within the step.
    pub micro_batch: u64,
}

/// Mask of shape `[rows, columns]`: 0 with probability `p`, else `1 / (1 - p)`.
///
/// `p` is rounded to a multiple of 2^-16, so that one 64-bit draw decides four elements.
pub(crate) fn mask(seed: DropoutSeed, site: usize, p: Probability, shape: [usize; 2], device: &Device) -> Tensor<2> {
    let threshold = (p.get() * 65536.0).round() as u64;
    let keep = 65536.0 / (65536 - threshold.min(65535)) as f32;
    let mut rng = CounterRng::new(&[seed.run, seed.step, seed.micro_batch, site as u64]);
    let elements = shape[0] * shape[1];
    let mut values = Vec::with_capacity(elements.next_multiple_of(4));
    while values.len() < elements {
        let bits = rng.next_u64();
        for lane in 0..4 {
            let draw = (bits >> (16 * lane)) & 0xFFFF;
            values.push(if draw < threshold { 0.0 } else { keep });
        }
    }
    values.truncate(elements);
    Tensor::from_data(TensorData::new(values, shape), device)
}
