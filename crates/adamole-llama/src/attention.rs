//! Causal self-attention with grouped keys and values, and rotary position embedding.

use crate::{
    Llama3Rope, ModelConfig,
    precision::{narrowed, widened},
    token_batch::Sequences,
};
use adamole_core::{AdaptedLinear, ForwardContext};
use adamole_kernels::{rotated_heads, scaled_softmax};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};
use std::{f32::consts::PI, ops::Range};

/// The attention mask: which positions each query attends to.
#[derive(Debug, Clone)]
pub struct AttentionMask {
    /// `[1 or B, 1, queries, keys]`, added to the scores: 0 where attended to, the lowest float where hidden.
    bias: Tensor<4>,
}

/// The keys and values of the positions so far, `[B, kv_heads, length, head_dim]` each.
#[derive(Debug, Clone)]
pub(crate) struct LayerCache {
    keys: Tensor<4>,
    values: Tensor<4>,
}

impl AttentionMask {
    /// Later positions are hidden. Enough for batches padded on the right, where padding is always later.
    pub fn causal(length: usize, device: &Device) -> Self {
        Self::new([1, length, length], device, |_, query, key| key > query)
    }

    /// Later positions and padding are hidden, for any place of the padding. `tokens` is 1 for a token and 0 for
    /// padding, `[B, L]` in row-major order.
    ///
    /// A query that sees nothing attends to every position alike, and its gradient flows, as in the
    /// reference implementation: the bias absorbs the scores.
    pub fn padded(tokens: &[u8], length: usize, device: &Device) -> Self {
        Self::padded_from(tokens, length, 0, device)
    }

    /// The part of [`AttentionMask::padded`] that belongs to the queries from position `start` on.
    pub(crate) fn padded_from(tokens: &[u8], length: usize, start: usize, device: &Device) -> Self {
        Self::new([tokens.len() / length, length - start, length], device, |row, query, key| {
            key > start + query || tokens[row * length + key] == 0
        })
    }

    /// Later positions and other documents are hidden, for sequences that hold several documents one after the other.
    /// `documents` numbers the document of each token, `[B, L]` in row-major order.
    pub fn documents(documents: &[u32], length: usize, device: &Device) -> Self {
        Self::new([documents.len() / length, length, length], device, |row, query, key| {
            key > query || documents[row * length + query] != documents[row * length + key]
        })
    }

    /// For tensors with autodiff.
    pub(crate) fn tracked(&self) -> Self {
        Self { bias: Tensor::from_inner(self.bias.clone()) }
    }

    fn new([rows, queries, keys]: [usize; 3], device: &Device, hidden: impl Fn(usize, usize, usize) -> bool) -> Self {
        let mut bias = Vec::with_capacity(rows * queries * keys);
        for row in 0..rows {
            for query in 0..queries {
                bias.extend((0..keys).map(|key| if hidden(row, query, key) { f32::MIN } else { 0.0 }));
            }
        }
        Self { bias: Tensor::from_data(TensorData::new(bias, [rows, 1, queries, keys]), device) }
    }
}

#[derive(Module, Debug)]
pub(crate) struct Attention {
    pub(crate) q_proj: AdaptedLinear,
    pub(crate) k_proj: AdaptedLinear,
    pub(crate) v_proj: AdaptedLinear,
    pub(crate) o_proj: AdaptedLinear,
    #[module(skip)]
    pub(crate) num_heads: usize,
    #[module(skip)]
    pub(crate) num_kv_heads: usize,
    #[module(skip)]
    pub(crate) head_dim: usize,
}

impl Attention {
    /// `[B L, hidden]` to `[B L, hidden]`. With a cache, its positions come before the L new ones, which join it.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        sequences: &Sequences,
        cache: Option<&mut Option<LayerCache>>,
        context: &mut ForwardContext,
    ) -> Tensor<2> {
        let (heads, kv_heads, dim) = (self.num_heads, self.num_kv_heads, self.head_dim);
        let Sequences { count: batch, rotary, attention } = sequences;
        let batch = *batch;
        let length = x.dims()[0] / batch;
        let q = rotary.split(self.q_proj.forward(x.clone(), context), heads);
        let mut k = rotary.split(self.k_proj.forward(x.clone(), context), kv_heads);
        let v = self.v_proj.forward(x, context);
        let mut v = v.reshape([batch, length, kv_heads, dim]).swap_dims(1, 2);
        if let Some(cache) = cache {
            if let Some(past) = cache.take() {
                k = Tensor::cat(vec![past.keys, k], 2);
                v = Tensor::cat(vec![past.values, v], 2);
            }
            *cache = Some(LayerCache { keys: k.clone(), values: v.clone() });
        }

        // The queries that share a key head are folded into its rows, so that keys and values are not repeated.
        let (group, keys) = (heads / kv_heads, k.dims()[2]);
        let q = q.reshape([batch, kv_heads, group * length, dim]);
        let scores = q.matmul(k.swap_dims(2, 3)).reshape([batch, heads, length, keys]);
        let dtype = scores.dtype();
        let scale = (dim as f32).sqrt().recip();
        let weights = narrowed(scaled_softmax(widened(scores), attention.bias.clone(), scale), dtype);
        let mixed = weights.reshape([batch, kv_heads, group * length, keys]).matmul(v);
        let mixed = mixed.reshape([batch, heads, length, dim]).swap_dims(1, 2).reshape([batch * length, heads * dim]);
        self.o_proj.forward(mixed, context)
    }
}

/// Rotary position embedding in the half-split layout of Hugging Face checkpoints (Su et al. 2021): cosines and sines for a
/// range of positions, each `[1, 1, length, head_dim]`.
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
