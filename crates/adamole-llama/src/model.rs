//! The decoder-only language model: embedding, layers, output projection.

use crate::{
    AdapterLayout, KvCache, ModelConfig, ModelError, ModelWarning, TokenBatch,
    attention::Memory,
    layer::{DecoderLayer, RmsNorm, frozen},
    layout::linear_name,
    loss::bounded,
    precision::widened,
};
use adamole_core::{AdaptedLinear, Adapter, AdapterConfig, ForwardContext, router::Router};
use adamole_kernels::linear;
use burn::{
    module::{Module, Param},
    tensor::{DType, Device, Int, Tensor},
};

/// A source of named tensors from which a model is built.
pub(crate) trait TensorSource {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<D>;

    /// The weights of a linear, which may have another type than the rest.
    fn linear(&mut self, name: &str, shape: [usize; 2]) -> Tensor<2> {
        self.tensor(name, shape)
    }
}

/// The token embedding.
#[derive(Module, Debug)]
pub(crate) struct Embedding {
    /// `[vocab, hidden]`.
    pub(crate) weight: Param<Tensor<2>>,
}

/// The model without its output projection. Field names are those of checkpoints, so that the path of a parameter in the
/// module is its key in the file.
#[derive(Module, Debug)]
pub(crate) struct Decoder {
    pub(crate) embed_tokens: Embedding,
    pub(crate) layers: Vec<DecoderLayer>,
    pub(crate) norm: RmsNorm,
}

/// A causal language model whose linears can carry adapters.
#[derive(Module, Debug)]
pub struct CausalLm {
    /// Embedding, layers and final norm.
    pub(crate) model: Decoder,
    pub(crate) lm_head: Option<Embedding>,
    #[module(skip)]
    config: ModelConfig,
    /// Warnings of reading it.
    #[module(skip)]
    warnings: Vec<ModelWarning>,
}

impl CausalLm {
    /// Builds a model from named tensors, all frozen.
    pub(crate) fn build(config: ModelConfig, source: &mut impl TensorSource) -> Self {
        let hidden = config.hidden_size;
        let embed_tokens =
            Embedding { weight: frozen(source.tensor("model.embed_tokens.weight", [config.vocab_size, hidden])) };
        let layers = (0..config.num_hidden_layers).map(|i| DecoderLayer::build(i, &config, source)).collect();
        let norm = RmsNorm::build("model.norm", hidden, &config, source);
        let lm_head = (!config.tie_word_embeddings)
            .then(|| Embedding { weight: frozen(source.tensor("lm_head.weight", [config.vocab_size, hidden])) });
        Self { model: Decoder { embed_tokens, layers, norm }, lm_head, config, warnings: Vec::new() }
    }

    /// Checks that the embedding has a row for each of these tokens.
    ///
    /// # Errors
    /// A token is outside the vocabulary.
    pub fn check_tokens<'a>(&self, tokens: impl IntoIterator<Item = &'a u32>) -> Result<(), ModelError> {
        let rows = self.config.vocab_size;
        match tokens.into_iter().max() {
            Some(&id) if id as usize >= rows => Err(ModelError::TokenOutsideVocabulary { id, rows }),
            _ => Ok(()),
        }
    }

    /// The shape of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Warnings of reading the model's and its adapter's files, for the caller to show.
    pub fn warnings(&self) -> &[ModelWarning] {
        &self.warnings
    }

    pub(crate) fn with_warnings(mut self, more: impl IntoIterator<Item = ModelWarning>) -> Self {
        self.warnings.extend(more);
        self
    }

    /// Puts fresh adapters on the linears of the layout, in place of any that the model has; their values are a function
    /// of `seed` alone.
    pub fn adapt(&mut self, layout: &AdapterLayout, seed: u64) {
        self.adapt_by(layout, |linear, config, number| linear.adapt(config, &[seed, number]));
    }

    /// [`CausalLm::adapt`] for adapters that get their values from elsewhere: nothing is computed from the frozen weights.
    pub fn adapt_for_values(&mut self, layout: &AdapterLayout) {
        self.adapt_by(layout, |linear, config, number| linear.adapt_for_values(config, &[0, number]));
    }

    fn adapt_by(&mut self, layout: &AdapterLayout, adapt: impl Fn(&mut AdaptedLinear, AdapterConfig, u64)) {
        let mut number = 0;
        for (name, linear) in self.linears_mut() {
            linear.adapter = None;
            if let Some(config) = layout.get(&name) {
                adapt(linear, config.clone(), number);
                number += 1;
            }
        }
        self.tie();
    }

    /// The base model alone.
    pub fn without_adapters(mut self) -> Self {
        for (_, linear) in self.linears_mut() {
            linear.adapter = None;
        }
        self
    }

    /// The model with the adapters of another one of its shape, forked onto `device`: parameters keep their identity.
    pub fn with_adapters_of(mut self, other: &Self, device: &Device) -> Self {
        for ((_, linear), (_, other)) in self.linears_mut().into_iter().zip(other.linears()) {
            linear.adapter = other.adapter.clone().map(|adapter| adapter.fork(device));
        }
        self.tied()
    }

    /// The settings of the model's adapters.
    pub fn layout(&self) -> AdapterLayout {
        let adapters =
            |(name, linear): (String, &AdaptedLinear)| Some((name, linear.adapter.as_ref()?.config().clone()));
        self.linears().into_iter().filter_map(adapters).collect()
    }

    /// Every linear with its key prefix (`model.layers.0.self_attn.q_proj`), in the order of the forward pass.
    pub fn linears(&self) -> Vec<(String, &AdaptedLinear)> {
        let layers = self.model.layers.iter().enumerate();
        let linears = layers.flat_map(|(i, layer)| layer.linears().map(move |(target, linear)| (i, target, linear)));
        linears.map(|(i, target, linear)| (linear_name(i, target), linear)).collect()
    }

    /// The routed layers with adapter and router, in the order of a forward pass.
    pub fn routed(&self) -> Vec<(String, &Adapter, &dyn Router)> {
        let linears = self.linears().into_iter();
        linears
            .filter_map(|(name, linear)| {
                let adapter = linear.adapter.as_ref()?;
                Some((name, adapter, adapter.config().method.router()?))
            })
            .collect()
    }

    pub(crate) fn linears_mut(&mut self) -> Vec<(String, &mut AdaptedLinear)> {
        let layers = self.model.layers.iter_mut().enumerate();
        let linears =
            layers.flat_map(|(i, layer)| layer.linears_mut().map(move |(target, linear)| (i, target, linear)));
        linears.map(|(i, target, linear)| (linear_name(i, target), linear)).collect()
    }

    /// The final hidden states of a batch of B sequences of L tokens, after the last norm: `[B L, hidden]`. The context takes
    /// its rows from the batch.
    pub fn hidden(&self, batch: &TokenBatch, context: &mut ForwardContext) -> Tensor<2> {
        self.run(batch, None, context)
    }

    /// [`CausalLm::hidden`] for the L positions after those in the cache, which they join. The attention mask of the batch
    /// has the cached positions among its keys.
    pub(crate) fn hidden_cached(
        &self,
        batch: &TokenBatch,
        cache: &mut KvCache,
        context: &mut ForwardContext,
    ) -> Tensor<2> {
        self.run(batch, Some(cache), context)
    }

    fn run(&self, batch: &TokenBatch, mut cache: Option<&mut KvCache>, context: &mut ForwardContext) -> Tensor<2> {
        let [_, length] = batch.ids().dims();
        let start = cache.as_ref().map_or(0, |cache| cache.length);
        let longest = cache.as_ref().map_or(0, |cache| cache.longest).max(start + length);
        let sequences = batch.sequences(start, longest, &self.config);
        context.set_rows(batch.rows().clone());
        let mut x = self.embed(batch.ids());
        for (i, layer) in self.model.layers.iter().enumerate() {
            let memory = match &mut cache {
                Some(cache) => Memory::Cache(&mut cache.layers[i]),
                None => Memory::Nothing,
            };
            x = layer.forward(x, &sequences, memory, context);
        }
        if let Some(cache) = cache {
            cache.length += length;
        }
        self.model.norm.forward(x)
    }

    /// Token ids `[B, L]` to the first layer's input, `[B L, hidden]`.
    pub(crate) fn embed(&self, ids: Tensor<2, Int>) -> Tensor<2> {
        let [batch, length] = ids.dims();
        let x = self.model.embed_tokens.weight.val().select(0, ids.reshape([batch * length]));
        match self.config.embedding_scale {
            Some(scale) => x * scale,
            None => x,
        }
    }

    /// The output projection, `[vocab, hidden]`: the embedding itself where it is tied.
    pub fn projection(&self) -> Tensor<2> {
        self.lm_head.as_ref().unwrap_or(&self.model.embed_tokens).weight.val()
    }

    /// Scores over the vocabulary in float32: `[T, hidden]` to `[T, vocab]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        bounded(widened(linear(hidden, self.projection())), self.config.scores.logit_cap)
    }

    /// Scores of these tokens alone: `[T, hidden]` to `[T, tokens]`.
    pub fn logits_of(&self, hidden: Tensor<2>, tokens: Tensor<1, Int>) -> Tensor<2> {
        let logits = widened(linear(hidden, self.projection().select(0, tokens)));
        bounded(logits, self.config.scores.logit_cap)
    }

    /// The type of the base's weights.
    pub fn dtype(&self) -> DType {
        self.model.norm.weight.dtype()
    }
}
