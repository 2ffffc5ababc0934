//! The keys and values of a text, for the tokens after it.

use crate::{CausalLm, attention::LayerCache};

/// The keys and values of the positions so far, of each layer.
#[derive(Debug, Clone)]
pub(crate) struct KvCache {
    pub(crate) layers: Vec<Option<LayerCache>>,
    pub(crate) length: usize,
    /// The number of positions of the text that is being read, on which some rotations depend.
    pub(crate) longest: usize,
}

impl KvCache {
    /// An empty cache.
    pub(crate) fn new(model: &CausalLm) -> Self {
        Self { layers: vec![None; model.config().num_hidden_layers], length: 0, longest: 0 }
    }

    /// Announces a text of `length` positions. What the cache has of it is dropped if it is rotated in another way there.
    pub(crate) fn expect(&mut self, length: usize, model: &CausalLm) {
        if model.config().is_rotated_anew(self.length, length) {
            *self = Self::new(model);
        }
        self.longest = length;
    }

    /// Number of positions.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The first `length` positions; an empty cache where it does not have them as they would be computed anew: a window has
    /// dropped some, or the rotation depends on the length of the text.
    fn beginning(self, length: usize, model: &CausalLm) -> Self {
        if length == self.length {
            return self;
        }
        let is_whole = |layer: &Option<LayerCache>| layer.as_ref().is_some_and(|it| it.length() == self.length);
        let by_length = model.config().rotations.iter().any(|rotation| rotation.depends_on_length());
        if length == 0 || length > self.length || by_length || !self.layers.iter().all(is_whole) {
            return Self::new(model);
        }
        let layers = self.layers.into_iter().map(|layer| layer.map(|layer| layer.beginning(length))).collect();
        Self { layers, length, longest: self.longest }
    }
}

/// A text whose keys and values are cached, of one [`Generator`](crate::Generator) for the next.
#[derive(Debug, Clone)]
pub struct CachedText {
    tokens: Vec<u32>,
    cache: KvCache,
}

impl CachedText {
    pub(crate) fn new(tokens: Vec<u32>, cache: KvCache) -> Self {
        Self { tokens, cache }
    }

    /// What it has of another text of the same model, whose last token is left to be computed.
    pub(crate) fn beginning_of(self, text: &[u32], model: &CausalLm) -> KvCache {
        let common = self.tokens.iter().zip(text).take_while(|(one, other)| one == other).count();
        let kept = common.min(self.cache.length).min(text.len().saturating_sub(1));
        self.cache.beginning(kept, model)
    }
}
