//! From the file to a [`ModelConfig`]: read loosely, checked once.

use super::{Activation, Family, ModelConfig, quantized, rope::RawRope};
use crate::ModelError;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::path::Path;

/// The file as it is found; everything that has a usual value is optional.
#[derive(Deserialize)]
pub(super) struct RawConfig {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    /// Absent is one thing and null another, for some families.
    #[serde(default, deserialize_with = "given")]
    num_key_value_heads: Option<Option<usize>>,
    head_dim: Option<usize>,
    vocab_size: usize,
    rms_norm_eps: Option<f32>,
    #[serde(flatten)]
    rope: RawRope,
    tie_word_embeddings: Option<bool>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    max_position_embeddings: Option<usize>,
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
    #[serde(default, deserialize_with = "given")]
    sliding_window: Option<Option<usize>>,
    layer_types: Option<Vec<String>>,
    use_bidirectional_attention: Option<Value>,
    quantization_config: Option<Value>,
    /// MLX's field.
    quantization: Option<Value>,
}

/// A field that is there, with a value or null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// The largest sizes of anything that is a model: beyond them a file is damaged, and products of sizes may overflow.
const MOST_LAYERS: usize = 1 << 12;
const WIDEST: usize = 1 << 22;
const LARGEST_VOCABULARY: usize = 1 << 24;

/// What transformers takes for a Mistral whose file does not speak of them.
const MISTRAL_WINDOW: usize = 4096;
const MISTRAL_KV_HEADS: usize = 8;
const MISTRAL_POSITIONS: usize = 4096 * 32;

impl RawConfig {
    pub(super) fn validate(self, path: &Path, notes: &mut Vec<String>) -> Result<ModelConfig, ModelError> {
        let unsupported =
            |field: &str, value: String, expected: &str| Err(ModelError::unsupported(path, field, value, expected));
        let (family, is_mistral) = match self.model_type.as_str() {
            "llama" => (Family::Llama, false),
            // A Mistral that sees all positions is a Llama by another name.
            "mistral" => (Family::Llama, true),
            "gemma" => (Family::Gemma, false),
            _ => return unsupported("model_type", self.model_type, "llama, mistral or gemma"),
        };
        if let Some(method) = quantized::method(self.quantization_config.as_ref(), self.quantization.as_ref()) {
            return Err(ModelError::QuantizedBase { path: path.to_owned(), method });
        }
        // Where a file names both, the second was added to mend the first.
        let named = self.hidden_activation.as_deref().or(self.hidden_act.as_deref());
        let activation = match (family, named) {
            (Family::Llama, None | Some("silu" | "swish")) => Activation::Silu,
            (Family::Gemma, None | Some("gelu_pytorch_tanh")) => Activation::GeluTanh,
            (Family::Gemma, Some("gelu")) => Activation::Gelu,
            (Family::Llama, Some(other)) => return unsupported("hidden_act", other.to_owned(), "silu"),
            (Family::Gemma, Some(other)) => {
                return unsupported("hidden_act", other.to_owned(), "gelu or gelu_pytorch_tanh");
            }
        };
        self.check_sizes(path)?;
        let kv_heads = match self.num_key_value_heads {
            Some(Some(heads)) => heads,
            None if is_mistral => MISTRAL_KV_HEADS,
            _ => self.num_attention_heads,
        };
        if kv_heads == 0 || !self.num_attention_heads.is_multiple_of(kv_heads) {
            return unsupported("num_key_value_heads", kv_heads.to_string(), "a divisor of num_attention_heads");
        }
        let head_dim = self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads);
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            return unsupported("head_dim", head_dim.to_string(), "an even number");
        }
        if head_dim.checked_mul(self.num_attention_heads).is_none_or(|width| width > WIDEST) {
            let expected = format!("at most {WIDEST} for all heads together");
            return unsupported("head_dim", head_dim.to_string(), &expected);
        }
        let rms_norm_eps = self.rms_norm_eps.unwrap_or(1e-6);
        if !(rms_norm_eps.is_finite() && rms_norm_eps >= 0.0) {
            return unsupported("rms_norm_eps", rms_norm_eps.to_string(), "a number of at least 0");
        }
        let usual_positions = if is_mistral { MISTRAL_POSITIONS } else { 2048 };
        let positions = self.max_position_embeddings.unwrap_or(usual_positions);
        if is_mistral {
            self.check_mistral(path, positions)?;
        } else if let Some(Some(window)) = self.sliding_window {
            notes.push(format!("sliding_window is {window}; models of this family see all positions before theirs"));
        }
        if let Some(value) = self.use_bidirectional_attention.as_ref().filter(|value| **value != Value::Bool(false)) {
            return unsupported("use_bidirectional_attention", value.to_string(), "false");
        }
        let (rope_theta, rope_scaling) = self.rope.validate(path, positions, notes)?;
        Ok(ModelConfig {
            family,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: kv_heads,
            head_dim,
            vocab_size: self.vocab_size,
            rms_norm_eps,
            rope_theta,
            rope_scaling,
            tie_word_embeddings: self.tie_word_embeddings.unwrap_or(family == Family::Gemma),
            attention_bias: self.attention_bias,
            mlp_bias: self.mlp_bias,
            activation,
            max_position_embeddings: positions,
        })
    }

    /// That every size is one of a model.
    fn check_sizes(&self, path: &Path) -> Result<(), ModelError> {
        let sizes = [
            ("hidden_size", self.hidden_size, WIDEST),
            ("intermediate_size", self.intermediate_size, WIDEST),
            ("num_hidden_layers", self.num_hidden_layers, MOST_LAYERS),
            ("num_attention_heads", self.num_attention_heads, WIDEST),
            ("vocab_size", self.vocab_size, LARGEST_VOCABULARY),
        ];
        match sizes.into_iter().find(|(_, value, most)| !(1..=*most).contains(value)) {
            None => Ok(()),
            Some((field, value, most)) => {
                Err(ModelError::unsupported(path, field, value, format!("a number from 1 to {most}")))
            }
        }
    }

    /// That a Mistral of so many positions computes what a Llama does.
    fn check_mistral(&self, path: &Path, positions: usize) -> Result<(), ModelError> {
        let window = match self.sliding_window {
            Some(window) => window,
            None => Some(MISTRAL_WINDOW),
        };
        if let Some(window) = window.filter(|window| *window < positions) {
            let value = if self.sliding_window.is_some() { "" } else { "absent, which is " };
            let expected = format!("null, or at least max_position_embeddings, {positions}");
            return Err(ModelError::unsupported(path, "sliding_window", format!("{value}{window}"), expected));
        }
        if let Some(kind) = self.layer_types.iter().flatten().find(|kind| *kind != "full_attention") {
            return Err(ModelError::unsupported(path, "layer_types", kind, "full_attention everywhere"));
        }
        match [("attention_bias", self.attention_bias), ("mlp_bias", self.mlp_bias)].iter().find(|(_, set)| *set) {
            Some((field, _)) => Err(ModelError::unsupported(path, *field, true, "false for a Mistral")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinearShapes;
    use proptest::prelude::*;

    fn any_size() -> impl Strategy<Value = usize> {
        prop_oneof![0_usize..9, Just(32), (0_u32..64).prop_map(|bit| 1 << bit), any::<usize>()]
    }

    proptest! {
        #[test]
        fn sizes_that_are_accepted_do_not_overflow(
            [hidden, inner, layers, heads, kv_heads, head_dim, vocabulary] in prop::array::uniform7(any_size()),
        ) {
            let config = serde_json::json!({
                "model_type": "llama", "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": layers,
                "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim,
                "vocab_size": vocabulary,
            });
            let raw: RawConfig = serde_json::from_value(config).unwrap();
            if let Ok(config) = raw.validate(Path::new("config.json"), &mut Vec::new()) {
                let [hidden, inner, layers, heads, kv_heads, head_dim, vocabulary] =
                    [hidden, inner, layers, heads, kv_heads, head_dim, vocabulary].map(|size| size as u128);
                let linears = 2 * hidden * (heads + kv_heads) * head_dim + 3 * hidden * inner;
                let expected = layers * (linears + 2 * hidden) + hidden + 2 * vocabulary * hidden;
                prop_assert_eq!(LinearShapes::of(&config).elements() as u128, expected);
                // In bytes, with moments, and once more for whatever is counted beside it.
                prop_assert!(expected < 1 << 60);
            }
        }
    }
}
