//! The sizes of a model's weights, before there is a model.

use crate::{AdapterLayout, ModelConfig, TARGETS, layout::layer_and_target};
use adamole_core::{AdapterConfig, ParameterSpec};

/// The shapes of a model's frozen weights.
#[derive(Debug, Clone, Copy)]
pub struct LinearShapes<'a>(&'a ModelConfig);

impl<'a> LinearShapes<'a> {
    /// Those of a model of this shape.
    pub fn of(config: &'a ModelConfig) -> Self {
        Self(config)
    }

    /// `[d_out, d_in]` of the linear of this name (`model.layers.0.self_attn.q_proj`); `None` where there is none.
    pub fn of_linear(self, name: &str) -> Option<[usize; 2]> {
        let (layer, target) = layer_and_target(name)?;
        (layer < self.0.num_hidden_layers).then(|| self.of_target(target))
    }

    fn of_target(self, target: &str) -> [usize; 2] {
        let ModelConfig { hidden_size: hidden, intermediate_size: inner, head_dim, .. } = *self.0;
        match target {
            "q_proj" => [self.0.num_attention_heads * head_dim, hidden],
            "k_proj" | "v_proj" => [self.0.num_key_value_heads * head_dim, hidden],
            "o_proj" => [hidden, self.0.num_attention_heads * head_dim],
            "gate_proj" | "up_proj" => [inner, hidden],
            _ => [hidden, inner],
        }
    }

    /// Elements of all adapters of this layout.
    pub fn adapter_elements(self, layout: &AdapterLayout) -> usize {
        let of_linear = |(name, adapter): (&str, &AdapterConfig)| {
            let [d_out, d_in] = self.of_linear(name)?;
            Some(adapter.parameters(d_in, d_out).iter().map(ParameterSpec::elements).sum::<usize>())
        };
        layout.iter().filter_map(of_linear).sum()
    }

    /// Elements of the seven linears of all layers, biases apart.
    pub fn linear_elements(self) -> usize {
        let of_layer: usize = TARGETS.iter().map(|target| self.of_target(target).iter().product::<usize>()).sum();
        of_layer * self.0.num_hidden_layers
    }

    /// Elements of all weights: linears, norms, the embedding, and the output projection where it is one of its own.
    pub fn elements(self) -> usize {
        let config = self.0;
        let embeddings = if config.tie_word_embeddings { 1 } else { 2 };
        let norms = (2 * config.num_hidden_layers + 1) * config.hidden_size;
        self.linear_elements() + embeddings * config.vocab_size * config.hidden_size + norms
    }
}
