//! Causal self-attention with grouped keys and values, and rotary position embedding.

use crate::{
    LayerAttention, ModelConfig, Scores, block_cache::LayerBlocks, layer::RmsNorm, model::TensorSource,
    token_batch::Sequences,
};
use adamole_core::{AdaptedLinear, ForwardContext};
use adamole_kernels::{Attended, AttentionScores, CachedSequence, attention, attention_again, attention_to_keep};
use burn::{module::Module, tensor::Tensor};

/// The keys and values of the last positions so far, `[B, kv_heads, length, head_dim]` each. Positions that no later query of
/// the layer sees are left out.
#[derive(Debug, Clone)]
pub(crate) struct LayerCache {
    keys: Tensor<4>,
    values: Tensor<4>,
}

/// What attention remembers, or keeps for later.
pub(crate) enum Memory<'a> {
    Nothing,
    /// The positions so far come before the new ones, which join them.
    Cache(&'a mut Option<LayerCache>),
    /// The new positions are of several sequences, whose positions so far are in blocks, which the new ones join.
    Blocks(&'a mut LayerBlocks, &'a [CachedSequence]),
    /// Keeps the result, since the layer will be computed again.
    Keep(&'a mut Option<Attended>),
    /// Computes the layer again.
    Again(&'a Attended),
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

    /// `[B L, hidden]` to `[B L, hidden]`.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        sequences: &Sequences,
        mut memory: Memory<'_>,
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
        if let Memory::Cache(cache) = &mut memory {
            if let Some(past) = cache.take() {
                k = Tensor::cat(vec![past.keys, k], 2);
                v = Tensor::cat(vec![past.values, v], 2);
            }
            **cache = Some(LayerCache::of(&k, &v, self.layer.window));
        }

        let visible = |k: &Tensor<4>| sequences.visible(self.layer.window).of_last(k.dims()[2]);
        let scores = AttentionScores { scale: self.scores.scale, cap: self.scores.cap };
        let mixed = match memory {
            Memory::Keep(kept) => {
                let visible = visible(&k);
                kept.insert(attention_to_keep(q, k, v, &visible, scores)).mixed()
            }
            Memory::Again(attended) => {
                let visible = visible(&k);
                attention_again(q, k, v, &visible, scores, attended)
            }
            Memory::Blocks(blocks, cached) => blocks.attend([q, k, v], cached, self.layer.window, scores),
            Memory::Nothing | Memory::Cache(_) => {
                let visible = visible(&k);
                attention(q, k, v, &visible, scores)
            }
        };
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

    /// Number of positions.
    pub(crate) fn length(&self) -> usize {
        self.keys.dims()[2]
    }

    /// The first of these keys and values.
    pub(crate) fn beginning(self, length: usize) -> Self {
        let [keys, values] = [self.keys, self.values].map(|all| all.narrow(2, 0, length));
        Self { keys, values }
    }
}
