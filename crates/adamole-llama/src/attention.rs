//! Causal self-attention with grouped keys and values.

use crate::rope::Rotary;
use adamole_core::{AdaptedLinear, Pass};
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData, activation::softmax},
};

/// Which positions a query must not see.
#[derive(Debug, Clone)]
pub struct AttentionMask {
    /// `[1 or B, 1, L, L]`, added to the scores: 0 where seen, the lowest float where hidden.
    bias: Tensor<4>,
}

impl AttentionMask {
    /// Later positions are hidden. Enough for batches padded on the right, where padding is always later.
    pub fn causal(length: usize, device: &Device) -> Self {
        Self::new(1, length, device, |_, query, key| key > query)
    }

    /// Later positions and padding are hidden, for any place of the padding. `tokens` is 1 for a token and 0 for
    /// padding, `[B, L]` in row-major order.
    ///
    /// A query that sees nothing attends to every position alike, and its gradient flows, as in the published
    /// implementation: the bias absorbs the scores.
    pub fn padded(tokens: &[u8], length: usize, device: &Device) -> Self {
        Self::new(tokens.len() / length, length, device, |row, query, key| {
            key > query || tokens[row * length + key] == 0
        })
    }

    /// Later positions and other documents are hidden, for sequences that hold several documents one after the other.
    /// `documents` numbers the document of each token, `[B, L]` in row-major order.
    pub fn documents(documents: &[u32], length: usize, device: &Device) -> Self {
        Self::new(documents.len() / length, length, device, |row, query, key| {
            key > query || documents[row * length + query] != documents[row * length + key]
        })
    }

    fn new(rows: usize, length: usize, device: &Device, hidden: impl Fn(usize, usize, usize) -> bool) -> Self {
        let bias: Vec<f32> = (0..rows * length * length)
            .map(|i| if hidden(i / (length * length), i / length % length, i % length) { f32::MIN } else { 0.0 })
            .collect();
        Self { bias: Tensor::from_data(TensorData::new(bias, [rows, 1, length, length]), device) }
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
    /// `[B L, hidden]` to `[B L, hidden]`.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        rotary: &Rotary,
        mask: &AttentionMask,
        batch: usize,
        pass: &mut Pass,
    ) -> Tensor<2> {
        let (heads, kv_heads, dim) = (self.num_heads, self.num_kv_heads, self.head_dim);
        let length = x.dims()[0] / batch;
        let split = |t: Tensor<2>, heads| t.reshape([batch, length, heads, dim]).swap_dims(1, 2);
        let q = rotary.apply(split(self.q_proj.forward(x.clone(), pass), heads));
        let k = rotary.apply(split(self.k_proj.forward(x.clone(), pass), kv_heads));
        let v = split(self.v_proj.forward(x, pass), kv_heads);

        // The queries that share a key head are folded into its rows, so that keys and values are not repeated.
        let group = heads / kv_heads;
        let q = q.reshape([batch, kv_heads, group * length, dim]) * (dim as f32).sqrt().recip();
        let scores = q.matmul(k.swap_dims(2, 3)).reshape([batch, heads, length, length]);
        let weights = softmax(scores + mask.bias.clone(), 3);
        let mixed = weights.reshape([batch, kv_heads, group * length, length]).matmul(v);
        let mixed = mixed.reshape([batch, heads, length, dim]).swap_dims(1, 2).reshape([batch * length, heads * dim]);
        self.o_proj.forward(mixed, pass)
    }
}
