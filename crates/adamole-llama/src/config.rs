//! `config.json` of a Hugging Face folder, in the spellings before and after transformers 5.

use crate::ModelError;
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// The shape of a decoder-only model of the Llama family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward block.
    pub intermediate_size: usize,
    /// Number of decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; a divisor of the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Epsilon of the normalisations.
    pub rms_norm_eps: f32,
    /// Base of the rotary wavelengths.
    pub rope_theta: f32,
    /// Whether the output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether q, k, v and o have biases.
    pub attention_bias: bool,
    /// Whether the feed-forward linears have biases.
    pub mlp_bias: bool,
    /// Longest sequence that the positions were trained for.
    pub max_position_embeddings: usize,
}

/// The file as it is found; everything that has a usual value is optional.
#[derive(Deserialize)]
struct RawConfig {
    model_type: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    vocab_size: usize,
    #[serde(default = "default_eps")]
    rms_norm_eps: f32,
    rope_theta: Option<f32>,
    rope_scaling: Option<RopeParameters>,
    rope_parameters: Option<RopeParameters>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default = "default_positions")]
    max_position_embeddings: usize,
    hidden_act: Option<String>,
}

#[derive(Deserialize)]
struct RopeParameters {
    rope_theta: Option<f32>,
    #[serde(alias = "type")]
    rope_type: Option<String>,
}

fn default_eps() -> f32 {
    1e-6
}

fn default_positions() -> usize {
    2048
}

impl ModelConfig {
    /// Reads and checks `config.json` in `folder`.
    ///
    /// # Errors
    /// The file is missing or not JSON, lacks a field, or describes a model that is not implemented.
    pub fn from_folder(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let text = fs::read_to_string(&path).map_err(ModelError::io(&path))?;
        let raw: RawConfig = serde_json::from_str(&text).map_err(ModelError::json(&path))?;
        raw.validate(&path)
    }

    /// The `config.json` of this model.
    pub fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::json!({
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_act": "silu",
            "rope_scaling": null,
            "torch_dtype": "float32",
        });
        if let (Some(json), Ok(serde_json::Value::Object(fields))) = (json.as_object_mut(), serde_json::to_value(self))
        {
            json.extend(fields);
        }
        json
    }
}

impl RawConfig {
    fn validate(self, path: &Path) -> Result<ModelConfig, ModelError> {
        let unsupported = |field, value: String, expected: &str| {
            Err(ModelError::Unsupported { path: path.to_owned(), field, value, expected: expected.to_owned() })
        };
        if self.model_type != "llama" {
            return unsupported("model_type", self.model_type, "llama");
        }
        if let Some(act) = self.hidden_act.filter(|act| act != "silu") {
            return unsupported("hidden_act", act, "silu");
        }
        let rope = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        if let Some(kind) = rope.and_then(|r| r.rope_type.clone()).filter(|kind| kind != "default") {
            return unsupported("rope_type", kind, "default");
        }
        for (field, value) in [
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("vocab_size", self.vocab_size),
        ] {
            if value == 0 {
                return unsupported(field, "0".into(), "at least 1");
            }
        }
        let kv_heads = self.num_key_value_heads.unwrap_or(self.num_attention_heads);
        if kv_heads == 0 || !self.num_attention_heads.is_multiple_of(kv_heads) {
            return unsupported("num_key_value_heads", kv_heads.to_string(), "a divisor of num_attention_heads");
        }
        let head_dim = self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads);
        if head_dim == 0 || !head_dim.is_multiple_of(2) {
            return unsupported("head_dim", head_dim.to_string(), "an even number");
        }
        Ok(ModelConfig {
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: kv_heads,
            head_dim,
            vocab_size: self.vocab_size,
            rms_norm_eps: self.rms_norm_eps,
            rope_theta: self.rope_theta.or(rope.and_then(|r| r.rope_theta)).unwrap_or(10_000.0),
            tie_word_embeddings: self.tie_word_embeddings,
            attention_bias: self.attention_bias,
            mlp_bias: self.mlp_bias,
            max_position_embeddings: self.max_position_embeddings,
        })
    }
}
