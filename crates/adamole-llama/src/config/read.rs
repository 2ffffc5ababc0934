//! Parsing and validation of `config.json`.

use super::{
    Activation, Biases, ModelConfig, Norms, Scores,
    family::{Bias, Cap, Family},
    layers::RawLayers,
    rotations::RawRotations,
};
use crate::ModelError;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
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
    rotations: RawRotations,
    #[serde(flatten)]
    layers: RawLayers,
    tie_word_embeddings: Option<bool>,
    query_pre_attn_scalar: Option<f32>,
    #[serde(default, deserialize_with = "given")]
    attn_logit_softcapping: Option<Option<f32>>,
    #[serde(default, deserialize_with = "given")]
    final_logit_softcapping: Option<Option<f32>>,
    max_position_embeddings: Option<usize>,
    quantization_config: Option<Value>,
    /// The field of MLX.
    quantization: Option<Value>,
    /// Names of activations, biases, and what no family reads.
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Deserializes a field that is present, with a value or null.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// Upper bounds of the sizes. Beyond them a file is damaged, and products of sizes may overflow.
const MOST_LAYERS: usize = 1 << 12;
const WIDEST: usize = 1 << 22;
const LARGEST_VOCABULARY: usize = 1 << 24;

/// The default of `query_pre_attn_scalar`.
const USUAL_SCALAR: f32 = 256.0;
/// The rates of dropout in the base.
const DROPOUTS: [&str; 3] = ["attention_dropout", "embd_pdrop", "resid_pdrop"];

impl RawConfig {
    pub(super) fn validate(self, path: &Path, notes: &mut Vec<String>) -> Result<ModelConfig, ModelError> {
        let unsupported =
            |field: &str, value: String, expected: &str| Err(ModelError::unsupported(path, field, value, expected));
        let Some(family) = Family::named(&self.model_type) else {
            let expected = format!("one of {}", Family::names());
            return unsupported("model_type", self.model_type, &expected);
        };
        if let Some(method) = quantization_method(self.quantization_config.as_ref(), self.quantization.as_ref()) {
            return Err(ModelError::QuantizedBase { path: path.to_owned(), method });
        }
        self.check_sizes(path)?;
        let kv_heads = match self.num_key_value_heads {
            Some(heads) => heads,
            None => family.kv_heads,
        };
        let kv_heads = kv_heads.unwrap_or(self.num_attention_heads);
        if kv_heads == 0 || !self.num_attention_heads.is_multiple_of(kv_heads) {
            return unsupported("num_key_value_heads", kv_heads.to_string(), "a divisor of num_attention_heads");
        }
        let usual_width = family.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads);
        let head_dim = self.head_dim.unwrap_or(usual_width);
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            return unsupported("head_dim", head_dim.to_string(), "an even number");
        }
        if head_dim.checked_mul(self.num_attention_heads).is_none_or(|width| width > WIDEST) {
            let expected = format!("at most {WIDEST} for all heads together");
            return unsupported("head_dim", head_dim.to_string(), &expected);
        }
        let eps = self.rms_norm_eps.unwrap_or(family.norm_eps);
        if !(eps.is_finite() && eps >= 0.0) {
            return unsupported("rms_norm_eps", eps.to_string(), "a number of at least 0");
        }
        if let Some(value) = self.others.get("use_bidirectional_attention").filter(|value| !is_off(value)) {
            return unsupported("use_bidirectional_attention", value.to_string(), "false");
        }
        for field in DROPOUTS {
            if let Some(rate) = self.others.get(field).and_then(Value::as_f64).filter(|rate| *rate != 0.0) {
                notes.push(format!("{field} is {rate}, but the frozen base has no dropout here; it is ignored"));
            }
        }
        let positions = self.max_position_embeddings.unwrap_or(family.positions);
        Ok(ModelConfig {
            model_type: family.model_type,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: kv_heads,
            head_dim,
            vocab_size: self.vocab_size,
            tie_word_embeddings: self.tie_word_embeddings.unwrap_or(family.tied),
            max_position_embeddings: positions,
            activation: self.activation(family, path)?,
            biases: Biases {
                qkv: self.bias(family.qkv_bias, "attention_bias", path)?,
                o: self.bias(family.o_bias, "attention_bias", path)?,
                mlp: self.bias(family.mlp_bias, "mlp_bias", path)?,
            },
            norms: Norms {
                eps,
                offset: family.norm_offset,
                of_outputs: family.output_norms,
                of_heads: family.head_norms,
            },
            fused_linears: family.fused_linears,
            embedding_scale: family.scaled_embedding.then(|| (self.hidden_size as f32).sqrt()),
            scores: self.scores(family, head_dim, path, notes)?,
            layers: self.layers.validate(family, self.num_hidden_layers, path, notes)?,
            rotations: self.rotations.validate(family, [head_dim, positions], path, notes)?,
            json: Map::new(),
        })
    }

    fn activation(&self, family: &Family, path: &Path) -> Result<Activation, ModelError> {
        let named = |field: &&'static str| Some((*field, self.others.get(*field).filter(|value| !value.is_null())?));
        let Some((field, name)) = family.activation_fields.iter().find_map(named) else {
            return Ok(family.activations[0].1);
        };
        let known = family.activations.iter().find(|(known, _)| name.as_str() == Some(known));
        known.map(|(_, activation)| *activation).ok_or_else(|| {
            let names: Vec<&str> = family.activations.iter().map(|(name, _)| *name).collect();
            let value = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
            ModelError::unsupported(path, field, value, names.join(" or "))
        })
    }

    /// Whether linears have biases, by the field where it counts; `usual` is the field's name in other families.
    fn bias(&self, bias: Bias, usual: &str, path: &Path) -> Result<bool, ModelError> {
        let is_set = |field: &str| match self.others.get(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(set)) => Ok(*set),
            Some(other) => Err(ModelError::unsupported(path, field, other, "true or false")),
        };
        match bias {
            Bias::Always => Ok(true),
            Bias::Field(field) => is_set(field),
            Bias::Never if is_set(usual)? => {
                Err(ModelError::unsupported(path, usual, true, format!("false for {}", self.model_type)))
            }
            Bias::Never => Ok(false),
        }
    }

    fn scores(
        &self,
        family: &Family,
        head_dim: usize,
        path: &Path,
        notes: &mut Vec<String>,
    ) -> Result<Scores, ModelError> {
        let positive = |field: &str, value: Option<f32>| match value {
            Some(value) if !(value.is_finite() && value > 0.0) => {
                Err(ModelError::unsupported(path, field, value, "a number above 0"))
            }
            value => Ok(value),
        };
        let mut cap = |field: &str, cap: Cap, given: Option<Option<f32>>| match cap {
            Cap::Default(usual) => positive(field, given.unwrap_or(usual)),
            Cap::Never => {
                if let Some(bound) = given.flatten() {
                    notes.push(format!("{field} is {bound}, but this family does not use it; it is ignored"));
                }
                Ok(None)
            }
        };
        let logit_cap = cap("final_logit_softcapping", family.logit_cap, self.final_logit_softcapping)?;
        let cap = cap("attn_logit_softcapping", family.score_cap, self.attn_logit_softcapping)?;
        let scalar = match family.score_scalar {
            true => positive("query_pre_attn_scalar", Some(self.query_pre_attn_scalar.unwrap_or(USUAL_SCALAR)))?,
            false => None,
        };
        Ok(Scores { scale: scalar.unwrap_or(head_dim as f32).sqrt().recip(), cap, logit_cap })
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
}

/// Whether a switch is off.
fn is_off(value: &Value) -> bool {
    value.is_null() || *value == Value::Bool(false)
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
