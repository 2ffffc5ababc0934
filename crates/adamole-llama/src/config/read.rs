//! Parsing and validation of `config.json`.

use super::{Activation, Family, ModelConfig, rope::RawRope};
use crate::ModelError;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::path::Path;

/// The fields of the file. Fields with a default are optional.
#[derive(Deserialize)]
pub(super) struct RawConfig {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    /// `None` if absent, `Some(None)` if null, which differ for some families.
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
    /// The field of MLX.
    quantization: Option<Value>,
}

/// Deserializes a field that is present, with a value or null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// Upper bounds of the sizes. Beyond them a file is damaged, and products of sizes may overflow.
const MOST_LAYERS: usize = 1 << 12;
const WIDEST: usize = 1 << 22;
const LARGEST_VOCABULARY: usize = 1 << 24;

/// The defaults of transformers for Mistral.
const MISTRAL_WINDOW: usize = 4096;
const MISTRAL_KV_HEADS: usize = 8;
const MISTRAL_POSITIONS: usize = 4096 * 32;

impl RawConfig {
    pub(super) fn validate(self, path: &Path, notes: &mut Vec<String>) -> Result<ModelConfig, ModelError> {
        let unsupported =
            |field: &str, value: String, expected: &str| Err(ModelError::unsupported(path, field, value, expected));
        let (family, is_mistral) = match self.model_type.as_str() {
            "llama" => (Family::Llama, false),
            // A Mistral with full attention is a Llama.
            "mistral" => (Family::Llama, true),
            "gemma" => (Family::Gemma, false),
            _ => return unsupported("model_type", self.model_type, "llama, mistral or gemma"),
        };
        if let Some(method) = quantization_method(self.quantization_config.as_ref(), self.quantization.as_ref()) {
            return Err(ModelError::QuantizedBase { path: path.to_owned(), method });
        }
        // `hidden_activation` was added to correct `hidden_act`.
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
            notes.push(format!("sliding_window is {window}, but this family uses full attention; it is ignored"));
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

    /// Checks the bounds of the sizes.
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

    /// Checks that a Mistral with this number of positions computes the same as a Llama.
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
            return Err(ModelError::unsupported(path, "layer_types", kind, "full_attention for all layers"));
        }
        match [("attention_bias", self.attention_bias), ("mlp_bias", self.mlp_bias)].iter().find(|(_, set)| *set) {
            Some((field, _)) => Err(ModelError::unsupported(path, *field, true, "false for a Mistral")),
            None => Ok(()),
        }
    }
}

/// The quantisation method, by the fields `quantization_config` of transformers and `quantization` of MLX; `None` if they are
/// empty.
fn quantization_method(transformers: Option<&Value>, mlx: Option<&Value>) -> Option<String> {
    let is_set = |value: &&Value| !value.is_null() && value.as_object().is_none_or(|fields| !fields.is_empty());
    if let Some(fields) = mlx.filter(is_set) {
        return Some(with_bits("MLX", fields));
    }
    let fields = transformers.filter(is_set)?;
    let name = match fields["quant_method"].as_str() {
        Some("bitsandbytes") => "bitsandbytes",
        Some("gptq") => "GPTQ",
        Some("awq") => "AWQ",
        Some("fp8" | "fbgemm_fp8") => "FP8",
        Some(other) => other,
        None if fields["load_in_4bit"].is_boolean() || fields["load_in_8bit"].is_boolean() => "bitsandbytes",
        None => "a method without a name",
    };
    Some(with_bits(name, fields))
}

fn with_bits(method: &str, fields: &Value) -> String {
    let bits = match (&fields["load_in_4bit"], &fields["load_in_8bit"]) {
        (Value::Bool(true), _) => Some(4),
        (_, Value::Bool(true)) => Some(8),
        _ => fields["bits"].as_u64(),
    };
    bits.map_or_else(|| method.to_owned(), |bits| format!("{method} to {bits} bits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LinearShapes;
    use proptest::prelude::*;
    use serde_json::json;

    fn any_size() -> impl Strategy<Value = usize> {
        prop_oneof![0_usize..9, Just(32), (0_u32..64).prop_map(|bit| 1 << bit), any::<usize>()]
    }

    proptest! {
        #[test]
        fn accepted_sizes_do_not_overflow(
            [hidden, inner, layers, heads, kv_heads, head_dim, vocabulary] in prop::array::uniform7(any_size()),
        ) {
            let config = json!({
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
                // Room for bytes per weight, moments, and further terms of an estimate.
                prop_assert!(expected < 1 << 60);
            }
        }
    }

    #[test]
    fn quantization_methods_are_named() {
        for (fields, expected) in [
            (json!({"quant_method": "gptq", "bits": 4, "group_size": 128}), Some("GPTQ to 4 bits")),
            (json!({"load_in_4bit": true, "bnb_4bit_quant_type": "nf4"}), Some("bitsandbytes to 4 bits")),
            (json!({"quant_method": "compressed-tensors"}), Some("compressed-tensors")),
            (json!({"quant_method": "fp8", "weight_block_size": [128, 128]}), Some("FP8")),
            (json!({}), None),
            (json!(null), None),
        ] {
            assert_eq!(quantization_method(Some(&fields), None).as_deref(), expected, "{fields}");
        }
        let mlx = json!({"group_size": 64, "bits": 4});
        assert_eq!(quantization_method(Some(&mlx), Some(&mlx)).as_deref(), Some("MLX to 4 bits"));
    }
}
