//! Rotary position embedding (Su et al. 2021) with the scalings of the wavelengths that transformers knows.

use crate::precision::narrowed;
use adamole_kernels::rotated_heads;
use burn::tensor::{Device, Tensor, TensorData};
use std::{f32::consts::PI, ops::Range};

/// How queries and keys are rotated by their positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotation {
    /// The base of the wavelengths.
    pub theta: f32,
    /// The first dimensions of a head, which are rotated; the others are not.
    pub width: usize,
    /// The scaling of the wavelengths.
    pub scaling: RotationScaling,
}

/// How the wavelengths of a [`Rotation`] are changed for texts that are longer than those of the training.
#[derive(Debug, Clone, PartialEq)]
pub enum RotationScaling {
    /// Not at all.
    None,
    /// All by the same factor (Chen et al. 2023).
    Linear {
        /// The factor.
        factor: f32,
    },
    /// By a base that grows with the longest text of a batch, beyond so many positions ("NTK-aware").
    Dynamic {
        /// The share of the growth.
        factor: f32,
        /// `max_position_embeddings`.
        positions: usize,
    },
    /// Long ones by a factor, short ones not, those between smoothly (Llama 3.1).
    Llama3 {
        /// The factor.
        factor: f32,
        /// Wavelengths above `positions / low_freq_factor` are stretched by the factor.
        low_freq_factor: f32,
        /// Wavelengths below `positions / high_freq_factor` are unchanged.
        high_freq_factor: f32,
        /// The length of texts in the original training.
        positions: usize,
    },
    /// Long ones by a factor, short ones not, those between along a ramp over the dimensions (Peng et al. 2023).
    Yarn {
        /// The factor.
        factor: f32,
        /// The ramp, in dimensions: where it begins and where it ends.
        ramp: [f32; 2],
        /// The factor of the rotated values.
        attention_factor: f32,
    },
    /// Each by a factor of its own, of which there is a second list for long texts (Ding et al. 2024).
    LongRope {
        /// The factors of the inverse frequencies for a batch whose longest text has at most so many positions.
        short: Vec<f32>,
        /// Those for longer ones.
        long: Vec<f32>,
        /// The length of texts in the original training.
        positions: usize,
        /// The factor of the rotated values.
        attention_factor: f32,
    },
}

impl Rotation {
    /// Radians per position for each pair of dimensions, in a batch whose longest text has `longest` positions.
    fn frequencies(&self, longest: usize) -> Vec<f32> {
        use RotationScaling::{Dynamic, Linear, Llama3, LongRope, None, Yarn};
        let width = self.width as f32;
        let theta = match self.scaling {
            Dynamic { factor, positions } if longest > positions => {
                let growth = factor * longest as f32 / positions as f32 - (factor - 1.0);
                self.theta * growth.powf(width / (width - 2.0))
            }
            _ => self.theta,
        };
        let plain = |pair: usize| 1.0 / theta.powf(2.0 * pair as f32 / width);
        let scaled = |pair: usize| match &self.scaling {
            None | Dynamic { .. } => plain(pair),
            Linear { factor } => plain(pair) / factor,
            Llama3 { factor, low_freq_factor: low, high_freq_factor: high, positions } => {
                stretched(plain(pair), *factor, [*low, *high], *positions as f32)
            }
            Yarn { factor, ramp: [first, last], .. } => {
                let stretched = ((pair as f32 - first) / (last - first)).clamp(0.0, 1.0);
                plain(pair) / factor * stretched + plain(pair) * (1.0 - stretched)
            }
            LongRope { short, long, positions, .. } => {
                let factors = if longest > *positions { long } else { short };
                1.0 / (factors[pair] * theta.powf(2.0 * pair as f32 / width))
            }
        };
        (0..self.width / 2).map(scaled).collect()
    }

    /// By how much each wavelength is stretched, where that does not depend on the texts.
    pub(crate) fn stretching(&self) -> Vec<f32> {
        let plain = Self { scaling: RotationScaling::None, ..self.clone() };
        plain.frequencies(0).into_iter().zip(self.frequencies(0)).map(|(plain, scaled)| plain / scaled).collect()
    }

    /// The factor of the rotated values.
    fn attention_factor(&self) -> f32 {
        match self.scaling {
            RotationScaling::Yarn { attention_factor, .. } | RotationScaling::LongRope { attention_factor, .. } => {
                attention_factor
            }
            _ => 1.0,
        }
    }

    /// Whether positions are rotated in another way in a longer text.
    pub(crate) fn depends_on_length(&self) -> bool {
        matches!(self.scaling, RotationScaling::Dynamic { .. } | RotationScaling::LongRope { .. })
    }

    /// Whether keys that were rotated in a text of `before` positions cannot serve one of `after`, which has other
    /// wavelengths. With dynamic scaling they serve nevertheless, as in transformers.
    pub(crate) fn invalidates(&self, before: usize, after: usize) -> bool {
        match self.scaling {
            RotationScaling::LongRope { positions, .. } => before <= positions && positions < after,
            _ => false,
        }
    }
}

/// Short wavelengths stay, long ones are stretched, those between pass over smoothly.
fn stretched(frequency: f32, factor: f32, [low, high]: [f32; 2], positions: f32) -> f32 {
    let wavelength = 2.0 * PI / frequency;
    if wavelength < positions / high {
        frequency
    } else if wavelength > positions / low {
        frequency / factor
    } else {
        let kept = (positions / wavelength - low) / (high - low);
        (1.0 - kept) * frequency / factor + kept * frequency
    }
}

/// Adjacent positions of a text.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    pub(crate) positions: Range<usize>,
    /// The length of the longest text that is rotated as this one is.
    pub(crate) longest: usize,
}

/// A [`Rotation`] of some positions, in the half-split layout of Hugging Face checkpoints: cosines and sines, each
/// `[1, 1, length, width]`.
#[derive(Debug, Clone)]
pub(crate) struct Rotary {
    cos: Tensor<4>,
    sin: Tensor<4>,
}

impl Rotary {
    /// The rotation of these positions, one stretch after the other.
    pub(crate) fn new(rotation: &Rotation, stretches: &[Stretch], device: &Device) -> Self {
        let factor = rotation.attention_factor();
        let mut angles = Vec::new();
        for Stretch { positions, longest } in stretches {
            let frequencies = rotation.frequencies(*longest);
            angles.extend(positions.clone().flat_map(|t| {
                frequencies.iter().chain(&frequencies).map(move |frequency| t as f32 * frequency).collect::<Vec<_>>()
            }));
        }
        let length = angles.len() / rotation.width.max(1);
        let table = |f: fn(f32) -> f32| {
            let values = angles.iter().map(|&angle| f(angle) * factor).collect::<Vec<_>>();
            Tensor::from_data(TensorData::new(values, [1, 1, length, rotation.width]), device)
        };
        Self { cos: table(f32::cos), sin: table(f32::sin) }
    }

    /// For tensors with autodiff.
    pub(crate) fn tracked(&self) -> Self {
        Self { cos: Tensor::from_inner(self.cos.clone()), sin: Tensor::from_inner(self.sin.clone()) }
    }

    /// Queries or keys of so many heads, rotated: `[B L, heads d]` to `[B, heads, L, d]`.
    pub(crate) fn split(&self, x: Tensor<2>, heads: usize) -> Tensor<4> {
        let ([rows, columns], [.., length, rotated]) = (x.dims(), self.cos.dims());
        let (dtype, width) = (x.dtype(), columns / heads);
        let [cos, sin] = [&self.cos, &self.sin].map(|table| narrowed(table.clone(), dtype));
        if rotated == width {
            return rotated_heads(x, cos, sin, heads);
        }
        let x = x.reshape([rows, heads, width]);
        let first = x.clone().narrow(2, 0, rotated).reshape([rows, heads * rotated]);
        let rest = x.narrow(2, rotated, width - rotated).reshape([rows / length, length, heads, width - rotated]);
        Tensor::cat(vec![rotated_heads(first, cos, sin, heads), rest.swap_dims(1, 2)], 3)
    }
}
