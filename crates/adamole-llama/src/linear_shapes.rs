//! The sizes of a model's weights, computed from its config.

use crate::{
    AdapterLayout, ModelConfig,
    layout::{layer_and_target, targets},
};
use adamole_core::{AdapterConfig, AdapterShape, ParameterSpec};
use std::collections::HashSet;

/// The shapes of a model's frozen weights.
#[derive(Debug, Clone, Copy)]
pub struct LinearShapes<'a>(&'a ModelConfig);

impl<'a> LinearShapes<'a> {
    /// The shapes of a model with this config.
    pub fn of(config: &'a ModelConfig) -> Self {
        Self(config)
    }

    /// The shape `[d_out, d_in]` of a linear (`model.layers.0.self_attn.q_proj`); `None` if the model does not have it.
    pub(crate) fn of_linear(self, name: &str) -> Option<[usize; 2]> {
        let (layer, target) = layer_and_target(name)?;
        let is_there = layer < self.0.num_hidden_layers && targets(self.0).contains(&target);
        is_there.then(|| self.of_target(target))
    }

    /// The shape `[d_out, d_in]` of a target in any layer.
    pub(crate) fn of_target(self, target: &str) -> [usize; 2] {
        let ModelConfig { hidden_size: hidden, intermediate_size: inner, head_dim, .. } = *self.0;
        let (q, kv) = (self.0.num_attention_heads * head_dim, self.0.num_key_value_heads * head_dim);
        match target {
            "q_proj" => [q, hidden],
            "k_proj" | "v_proj" => [kv, hidden],
            "qkv_proj" => [q + 2 * kv, hidden],
            "o_proj" => [hidden, q],
            "gate_proj" | "up_proj" => [inner, hidden],
            "gate_up_proj" => [2 * inner, hidden],
            _ => [hidden, inner],
        }
    }

    /// The number of trained parameters of all adapters of a layout.
    pub fn adapter_elements(self, layout: &AdapterLayout) -> usize {
        self.own_parameters(layout).iter().filter(|spec| spec.trained).map(ParameterSpec::elements).sum()
    }

    /// The number of all parameters of the adapters of a layout, also of those that are not trained.
    pub fn kept_adapter_elements(self, layout: &AdapterLayout) -> usize {
        self.own_parameters(layout).iter().map(ParameterSpec::elements).sum()
    }

    /// The elements of the matrices that a token meets in the adapters of a layout: a shared one in each of its linears.
    pub fn adapter_products(self, layout: &AdapterLayout) -> usize {
        let of_linear = |(name, adapter): (&str, &AdapterConfig)| -> Option<usize> {
            let [d_out, d_in] = self.of_linear(name)?;
            let met = |spec: &ParameterSpec| spec.elements() * adapter.method.times_met(spec);
            Some(adapter.parameters(d_in, d_out).iter().map(met).sum())
        };
        layout.iter().filter_map(of_linear).sum()
    }

    /// About how many numbers the adapters of a layout keep for a token until the backward pass.
    pub fn kept_for_a_token(self, layout: &AdapterLayout) -> usize {
        let of_linear = |(name, adapter): (&str, &AdapterConfig)| {
            let [d_out, d_in] = self.of_linear(name)?;
            Some(adapter.method.kept_for_a_token(AdapterShape { rank: adapter.rank.get(), d_in, d_out }))
        };
        layout.iter().filter_map(of_linear).sum()
    }

    /// The parameters of all adapters of a layout, a shared one once.
    fn own_parameters(self, layout: &AdapterLayout) -> Vec<ParameterSpec> {
        let mut seen = HashSet::new();
        let own = self.parameters(layout).filter(|(d_in, spec)| !spec.shared || seen.insert(spec.identity(*d_in)));
        own.map(|(_, spec)| spec).collect()
    }

    /// The parameters of the adapter of each linear, with the inputs of the linear.
    fn parameters(self, layout: &AdapterLayout) -> impl Iterator<Item = (usize, ParameterSpec)> {
        let of_linear = move |(name, adapter): (&str, &AdapterConfig)| {
            let [d_out, d_in] = self.of_linear(name)?;
            Some(adapter.parameters(d_in, d_out).into_iter().map(move |spec| (d_in, spec)))
        };
        layout.iter().filter_map(of_linear).flatten()
    }

    /// The number of weights of the linears of all layers, without biases.
    pub fn linear_elements(self) -> usize {
        let of_layer: usize =
            targets(self.0).iter().map(|target| self.of_target(target).iter().product::<usize>()).sum();
        of_layer * self.0.num_hidden_layers
    }

    /// The number of weights of the model: linears with their biases, norms, embedding, and output projection unless it is
    /// tied.
    pub fn elements(self) -> usize {
        let config = self.0;
        let embeddings = if config.tie_word_embeddings { 1 } else { 2 };
        let of_layer = if config.norms.of_outputs { 4 } else { 2 };
        let of_heads = if config.norms.of_heads { 2 * config.head_dim * config.num_hidden_layers } else { 0 };
        let norms = (of_layer * config.num_hidden_layers + 1) * config.hidden_size + of_heads;
        self.linear_elements() + self.bias_elements() + embeddings * config.vocab_size * config.hidden_size + norms
    }

    fn bias_elements(self) -> usize {
        let has_bias = |target: &&str| match *target {
            "q_proj" | "k_proj" | "v_proj" | "qkv_proj" => self.0.biases.qkv,
            "o_proj" => self.0.biases.o,
            _ => self.0.biases.mlp,
        };
        let of_layer: usize =
            targets(self.0).iter().filter(|target| has_bias(target)).map(|target| self.of_target(target)[0]).sum();
        of_layer * self.0.num_hidden_layers
    }
}
