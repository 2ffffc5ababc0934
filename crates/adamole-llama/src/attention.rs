//! Causal self-attention with grouped keys and values, and rotary position embedding.

use crate::{
    LayerAttention, ModelConfig, Scores,
    layer::RmsNorm,
    loss::bounded,
    model::TensorSource,
    precision::{narrowed, widened},
    token_batch::Sequences,
};
use adamole_core::{AdaptedLinear, ForwardContext};
use adamole_kernels::scaled_softmax;
use burn::{
    module::Module,
    tensor::{Device, Tensor, TensorData},
};

/// The attention mask: which positions each query attends to.
#[derive(Debug, Clone)]
pub struct AttentionMask {
    /// `[1 or B, 1, queries, keys]`, added to the scores: 0 where attended to, the lowest float where hidden.
    bias: Tensor<4>,
}

/// The keys and values of the last positions so far, `[B, kv_heads, length, head_dim]` each. Positions that no later query of
/// the layer sees are left out.
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

    /// This mask where each query sees only so many positions, its own among them; `None` if that hides nothing more. The last
    /// query is that of the last key.
    pub(crate) fn within(&self, window: usize) -> Option<Self> {
        let [_, _, queries, keys] = self.bias.dims();
        let start = keys - queries;
        let window = (window < keys)
            .then(|| Self::new([1, queries, keys], &self.bias.device(), |_, query, key| key + window <= start + query));
        Some(Self { bias: self.bias.clone().min_pair(window?.bias) })
    }

    /// The mask of the last keys alone, `[1 or B, 1, queries, keys]`.
    fn of_last(&self, keys: usize) -> Tensor<4> {
        let all = self.bias.dims()[3];
        if keys == all { self.bias.clone() } else { self.bias.clone().narrow(3, all - keys, keys) }
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
    pub(crate) q_proj: Option<AdaptedLinear>,
    pub(crate) k_proj: Option<AdaptedLinear>,
    pub(crate) v_proj: Option<AdaptedLinear>,
    /// Queries, keys and values in one, in place of the three.
    pub(crate) qkv_proj: Option<AdaptedLinear>,
    pub(crate) o_proj: AdaptedLinear,
    q_norm: Option<RmsNorm>,
    k_norm: Option<RmsNorm>,
    #[module(skip)]
    num_heads: usize,
    #[module(skip)]
    num_kv_heads: usize,
    #[module(skip)]
    head_dim: usize,
    #[module(skip)]
    scores: Scores,
    #[module(skip)]
    layer: LayerAttention,
}

impl Attention {
    /// The attention of layer `i`, frozen, with these linears.
    pub(crate) fn build(
        i: usize,
        config: &ModelConfig,
        source: &mut impl TensorSource,
        [q_proj, k_proj, v_proj, qkv_proj]: [Option<AdaptedLinear>; 4],
        o_proj: AdaptedLinear,
    ) -> Self {
        let mut norm = |name: &str| {
            let name = format!("model.layers.{i}.self_attn.{name}");
            config.norms.of_heads.then(|| RmsNorm::build(&name, config.head_dim, config, source))
        };
        Self {
            q_norm: norm("q_norm"),
            k_norm: norm("k_norm"),
            q_proj,
            k_proj,
            v_proj,
            qkv_proj,
            o_proj,
            num_heads: config.num_attention_heads,
            num_kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            scores: config.scores,
            layer: config.layers[i],
        }
    }

    /// `[B L, hidden]` to `[B L, hidden]`. With a cache, its positions come before the L new ones, which join it.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        sequences: &Sequences,
        cache: Option<&mut Option<LayerCache>>,
        context: &mut ForwardContext,
    ) -> Tensor<2> {
        let (heads, kv_heads, dim) = (self.num_heads, self.num_kv_heads, self.head_dim);
        let batch = sequences.count;
        let length = x.dims()[0] / batch;
        let [q, k, v] = self.projected(x, context);
        let split = |x: Tensor<2>, heads: usize| x.reshape([batch, length, heads, dim]).swap_dims(1, 2);
        let rotated = |x: Tensor<2>, heads: usize, norm: &Option<RmsNorm>| {
            let x = match norm {
                Some(norm) => {
                    norm.forward(x.reshape([batch * length * heads, dim])).reshape([batch * length, heads * dim])
                }
                None => x,
            };
            match self.layer.rotation {
                Some(rotation) => sequences.rotations[rotation].split(x, heads),
                None => split(x, heads),
            }
        };
        let q = rotated(q, heads, &self.q_norm);
        let mut k = rotated(k, kv_heads, &self.k_norm);
        let mut v = split(v, kv_heads);
        if let Some(cache) = cache {
            if let Some(past) = cache.take() {
                k = Tensor::cat(vec![past.keys, k], 2);
                v = Tensor::cat(vec![past.values, v], 2);
            }
            *cache = Some(LayerCache::of(&k, &v, self.layer.window));
        }

        // The queries that share a key head are folded into its rows, so that keys and values are not repeated.
        let (group, keys) = (heads / kv_heads, k.dims()[2]);
        let q = q.reshape([batch, kv_heads, group * length, dim]);
        let scores = q.matmul(k.swap_dims(2, 3)).reshape([batch, heads, length, keys]);
        let dtype = scores.dtype();
        let (scores, scale) = match self.scores.cap {
            Some(_) => (bounded(widened(scores) * self.scores.scale, self.scores.cap), 1.0),
            None => (widened(scores), self.scores.scale),
        };
        let mask = sequences.mask(self.layer.window).of_last(keys);
        let weights = narrowed(scaled_softmax(scores, mask, scale), dtype);
        let mixed = weights.reshape([batch, kv_heads, group * length, keys]).matmul(v);
        let mixed = mixed.reshape([batch, heads, length, dim]).swap_dims(1, 2).reshape([batch * length, heads * dim]);
        self.o_proj.forward(mixed, context)
    }

    /// Queries, keys and values, `[B L, heads head_dim]` each.
    fn projected(&self, x: Tensor<2>, context: &mut ForwardContext) -> [Tensor<2>; 3] {
        let linears = [&self.q_proj, &self.k_proj, &self.v_proj, &self.qkv_proj].into_iter().flatten();
        let parts: Vec<Tensor<2>> = linears.map(|linear| linear.forward(x.clone(), context)).collect();
        <[Tensor<2>; 3]>::try_from(parts).unwrap_or_else(|fused| {
            let (q, kv) = (self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim);
            let fused = Tensor::cat(fused, 1);
            [(0, q), (q, kv), (q + kv, kv)].map(|(start, width)| fused.clone().narrow(1, start, width))
        })
    }
}

impl LayerCache {
    /// The last of these keys and values, as many as a window has.
    fn of(keys: &Tensor<4>, values: &Tensor<4>, window: Option<usize>) -> Self {
        let length = keys.dims()[2];
        let kept = window.map_or(length, |window| window.min(length));
        let [keys, values] = [keys, values].map(|all| match kept == length {
            true => all.clone(),
            false => all.clone().narrow(2, length - kept, kept),
        });
        Self { keys, values }
    }
}
