//! One pass over the next positions of many texts, of different lengths and with different adapters on one frozen base.

use crate::{
    BlockCache, CausalLm, ModelError, TokenRouting, Visibility, attention::Memory, rotation::Stretch,
    token_batch::Sequences, token_routing::token_routing,
};
use adamole_core::{AdapterSet, ForwardContext, RoutingDetail, RowGroup, Rows};
use adamole_kernels::CachedSequence;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::sync::Arc;

/// The next positions of one text.
#[derive(Debug, Clone)]
pub struct NextTokens<'a> {
    /// Their tokens, at least one.
    pub tokens: &'a [u32],
    /// The number of positions before them, which are in the cache.
    pub start: usize,
    /// The number of positions that the text will have once it is read, on which some rotations depend.
    pub longest: usize,
    /// The blocks that hold all positions up to the last of these.
    pub blocks: Arc<[u32]>,
    /// The adapters; the base alone without them.
    pub adapters: Option<&'a Arc<AdapterSet>>,
    /// Whether the routing of the tokens is wanted.
    pub routing: bool,
}

/// What a step computes.
#[derive(Debug)]
pub struct Step {
    /// The final hidden states of all new positions, text by text, `[T, hidden]`: see [`CausalLm::logits`].
    pub hidden: Tensor<2>,
    /// The routing of each new token, text by text; empty for a text where it was not asked for.
    pub routing: Vec<Vec<TokenRouting>>,
}

impl NextTokens<'_> {
    fn sequence(&self) -> CachedSequence {
        let queries = self.tokens.len();
        let blocks = self.blocks.clone();
        CachedSequence { queries, keys: self.start + queries, blocks, block: BlockCache::BLOCK }
    }

    fn has_adapters_of(&self, other: &Self) -> bool {
        match (self.adapters, other.adapters) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            _ => false,
        }
    }
}

impl CausalLm {
    /// The model's adapters, to be used with the frozen weights of another copy of its base.
    pub fn adapter_set(&self) -> AdapterSet {
        self.linears().into_iter().map(|(_, linear)| linear.adapter.clone()).collect()
    }

    /// Reads the next tokens of some texts in one pass, which reads the frozen weights once. Adjacent texts with the same
    /// adapters are computed together. The adapters of the model itself have no part in it.
    ///
    /// # Errors
    /// A token is outside the vocabulary.
    ///
    /// # Panics
    /// There is no text, a text has no token, or its blocks do not hold its positions.
    pub fn step(&self, texts: &[NextTokens<'_>], cache: &mut BlockCache) -> Result<Step, ModelError> {
        self.check_tokens(texts.iter().flat_map(|text| text.tokens))?;
        let device = self.projection().device();
        let groups = || texts.chunk_by(NextTokens::has_adapters_of);
        let mut context = ForwardContext::for_groups(groups().map(|texts| row_group(texts, &device)).collect());
        let ids: Vec<i32> = texts.iter().flat_map(|text| text.tokens).map(|id| *id as i32).collect();
        let count = ids.len();
        let mut x = self.embed(Tensor::<2, Int>::from_data(TensorData::new(ids, [1, count]), &device));
        let stretch = |text: &NextTokens<'_>| Stretch {
            positions: text.start..text.start + text.tokens.len(),
            longest: text.longest,
        };
        let stretches: Vec<Stretch> = texts.iter().map(stretch).collect();
        let sequences = Sequences::of_stretches(&stretches, Visibility::causal(count), self.config(), &device);
        let cached: Vec<CachedSequence> = texts.iter().map(NextTokens::sequence).collect();
        for (layer, blocks) in self.model.layers.iter().zip(&mut cache.layers) {
            x = layer.forward(x, &sequences, Memory::Blocks(blocks, &cached), &mut context);
        }
        let hidden = self.model.norm.forward(x);
        let routing = groups().zip(context.into_groups()).flat_map(|(texts, group)| routing_of(texts, group)).collect();
        Ok(Step { hidden, routing })
    }
}

fn row_group(texts: &[NextTokens<'_>], device: &Device) -> RowGroup {
    let lengths: Vec<usize> = texts.iter().map(|text| text.tokens.len()).collect();
    let total = lengths.iter().sum();
    let wanted = texts.iter().any(|text| text.routing);
    let detail = if wanted { RoutingDetail::Distributions } else { RoutingDetail::Off };
    // Sequences of one length need no places.
    let rows = match lengths.iter().all(|length| *length == lengths[0]) {
        true => Rows::new(total, lengths.len(), None),
        false => Rows::packed(total, &lengths, device),
    };
    RowGroup::new(rows, texts[0].adapters.cloned(), detail)
}

/// The routing of the tokens of each text of a group.
fn routing_of(texts: &[NextTokens<'_>], group: RowGroup) -> Vec<Vec<TokenRouting>> {
    let tokens: Vec<u32> = texts.iter().flat_map(|text| text.tokens.iter().copied()).collect();
    let mut all = token_routing(group.into_layers(), &tokens, None);
    let of_text = |text: &NextTokens<'_>| {
        let rest = all.split_off(text.tokens.len().min(all.len()));
        let own = std::mem::replace(&mut all, rest);
        if text.routing { own } else { Vec::new() }
    };
    texts.iter().map(of_text).collect()
}
