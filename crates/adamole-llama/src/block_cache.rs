//! Keys and values of many texts in fixed blocks of one memory (Kwon et al. 2023).

use crate::ModelConfig;
use adamole_kernels::{AttentionScores, CachedSequence, cached_attention};
use burn::tensor::{DType, Device, Tensor};

/// The keys and values of many texts, in blocks of [`BlockCache::BLOCK`] positions that are allocated once. Which block holds
/// which positions of which text is the caller's to know.
#[derive(Debug)]
pub struct BlockCache {
    pub(crate) layers: Vec<LayerBlocks>,
    blocks: usize,
}

/// The blocks of a layer, `[kv_heads, slots, head_dim]` each, in float32.
#[derive(Debug)]
pub(crate) struct LayerBlocks {
    keys: Tensor<3>,
    values: Tensor<3>,
}

impl BlockCache {
    /// The number of positions of a block.
    pub const BLOCK: usize = 32;

    /// So many blocks for a model of this shape.
    pub fn new(config: &ModelConfig, blocks: usize, device: &Device) -> Self {
        let shape = [config.num_key_value_heads, blocks * Self::BLOCK, config.head_dim];
        let zeros = || Tensor::zeros(shape, (device, DType::F32));
        let layer = |_| LayerBlocks { keys: zeros(), values: zeros() };
        Self { layers: (0..config.num_hidden_layers).map(layer).collect(), blocks }
    }

    /// The memory of a block, in bytes.
    pub fn bytes_of_block(config: &ModelConfig) -> usize {
        let of_head = 2 * Self::BLOCK * config.head_dim * size_of::<f32>();
        config.num_hidden_layers * config.num_key_value_heads * of_head
    }

    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks
    }
}

impl LayerBlocks {
    /// Puts the new keys and values, `[1, kv_heads, T, head_dim]`, of some sequences in their places, and mixes the values of
    /// what the queries, `[1, heads, T, head_dim]`, see: `[T, heads head_dim]`.
    pub(crate) fn attend(
        &mut self,
        [q, k, v]: [Tensor<4>; 3],
        sequences: &[CachedSequence],
        window: Option<usize>,
        scores: AttentionScores,
    ) -> Tensor<2> {
        for (cache, new) in [(&mut self.keys, k), (&mut self.values, v)] {
            let new: Tensor<3> = new.cast(DType::F32).squeeze_dim(0);
            let ([heads, _, width], mut row) = (new.dims(), 0);
            for run in sequences.iter().flat_map(CachedSequence::new_runs) {
                let part = new.clone().narrow(1, row, run.len());
                row += run.len();
                // The only owner: nothing is copied.
                cache.inplace(|cache| cache.slice_assign([0..heads, run, 0..width], part));
            }
        }
        cached_attention(q, [&self.keys, &self.values], sequences, window, scores)
    }
}
