//! `config.json` of a Hugging Face folder, in the spellings before and after transformers 5.

use crate::ModelError;
use burn::tensor::DType;
use serde::{Deserialize, Serialize};
use std::{fs, path::Path};

/// The families that are implemented. They differ in details around the same blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Llama 2 and 3, SmolLM2, and all that call themselves so.
    Llama,
    /// Gemma 1: embeddings times `sqrt(hidden_size)`, normalisation by `1 + w`.
    Gemma,
}

/// The non-linearity of the feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// `x sigmoid(x)`.
    #[serde(rename = "silu")]
    Silu,
    /// `x Phi(x)`, exact. Gemma's first release says this.
    #[serde(rename = "gelu")]
    Gelu,
    /// The tanh approximation. Gemma's later config files, and transformers from 4.39 on, say this.
    #[serde(rename = "gelu_pytorch_tanh")]
    GeluTanh,
}

/// Llama 3's stretching of the long rotary wavelengths.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Llama3Rope {
    /// Wavelengths beyond the longest band are stretched by this.
    pub factor: f32,
    /// `original_max_position_embeddings / low_freq_factor` is where the stretched band begins.
    pub low_freq_factor: f32,
    /// `original_max_position_embeddings / high_freq_factor` is where the untouched band ends.
    pub high_freq_factor: f32,
    /// The context that the model was first trained for.
    pub original_max_position_embeddings: usize,
}

/// The shape of a decoder-only model of the Llama family.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The family.
    pub family: Family,
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
    /// Scaling of the rotary wavelengths.
    pub rope_scaling: Option<Llama3Rope>,
    /// Whether the output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether q, k, v and o have biases.
    pub attention_bias: bool,
    /// Whether the feed-forward linears have biases.
    pub mlp_bias: bool,
    /// The feed-forward block's non-linearity.
    pub activation: Activation,
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
    tie_word_embeddings: Option<bool>,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default = "default_positions")]
    max_position_embeddings: usize,
    hidden_act: Option<String>,
    hidden_activation: Option<String>,
}

#[derive(Deserialize)]
struct RopeParameters {
    rope_theta: Option<f32>,
    #[serde(alias = "type")]
    rope_type: Option<String>,
    factor: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    original_max_position_embeddings: Option<usize>,
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

    /// The `config.json` of this model with weights of this type.
    pub(crate) fn to_json(&self, weights: DType) -> serde_json::Value {
        let architecture = match self.family {
            Family::Llama => "LlamaForCausalLM",
            Family::Gemma => "GemmaForCausalLM",
        };
        let dtype = match weights {
            DType::BF16 => "bfloat16",
            DType::F16 => "float16",
            _ => "float32",
        };
        serde_json::json!({
            "architectures": [architecture],
            "model_type": self.family,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "vocab_size": self.vocab_size,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": self.rope_scaling.map(|rope| serde_json::json!({
                "rope_type": "llama3",
                "factor": rope.factor,
                "low_freq_factor": rope.low_freq_factor,
                "high_freq_factor": rope.high_freq_factor,
                "original_max_position_embeddings": rope.original_max_position_embeddings,
            })),
            "tie_word_embeddings": self.tie_word_embeddings,
            "attention_bias": self.attention_bias,
            "mlp_bias": self.mlp_bias,
            "hidden_act": self.activation,
            "max_position_embeddings": self.max_position_embeddings,
            "torch_dtype": dtype,
        })
    }

    /// What embeddings are multiplied by.
    pub(crate) fn embedding_scale(&self) -> Option<f32> {
        (self.family == Family::Gemma).then(|| (self.hidden_size as f32).sqrt())
    }

    /// What is added to the weights of the normalisations.
    pub(crate) fn norm_offset(&self) -> f32 {
        match self.family {
            Family::Llama => 0.0,
            Family::Gemma => 1.0,
        }
    }
}

impl RawConfig {
    fn validate(self, path: &Path) -> Result<ModelConfig, ModelError> {
        let unsupported = |field, value: String, expected: &str| {
            Err(ModelError::Unsupported { path: path.to_owned(), field, value, expected: expected.to_owned() })
        };
        let family = match self.model_type.as_str() {
            "llama" => Family::Llama,
            "gemma" => Family::Gemma,
            _ => return unsupported("model_type", self.model_type, "llama or gemma"),
        };
        // Where a file names both, the second was added to mend the first.
        let named = self.hidden_activation.or(self.hidden_act);
        let activation = match (family, named.as_deref()) {
            (Family::Llama, None | Some("silu" | "swish")) => Activation::Silu,
            (Family::Gemma, None | Some("gelu_pytorch_tanh")) => Activation::GeluTanh,
            (Family::Gemma, Some("gelu")) => Activation::Gelu,
            (Family::Llama, Some(other)) => return unsupported("hidden_act", other.to_owned(), "silu"),
            (Family::Gemma, Some(other)) => {
                return unsupported("hidden_act", other.to_owned(), "gelu or gelu_pytorch_tanh");
            }
        };
        let rope = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let rope_scaling = match rope.and_then(|rope| Some((rope, rope.rope_type.as_deref()?))) {
            None | Some((_, "default")) => None,
            Some((rope, "llama3")) => {
                let (Some(factor), Some(low_freq_factor), Some(high_freq_factor), Some(context)) =
                    (rope.factor, rope.low_freq_factor, rope.high_freq_factor, rope.original_max_position_embeddings)
                else {
                    let expected =
                        "factor, low_freq_factor, high_freq_factor and original_max_position_embeddings with it";
                    return unsupported("rope_type", "llama3".into(), expected);
                };
                if high_freq_factor == low_freq_factor {
                    return unsupported("high_freq_factor", high_freq_factor.to_string(), "more than low_freq_factor");
                }
                Some(Llama3Rope {
                    factor,
                    low_freq_factor,
                    high_freq_factor,
                    original_max_position_embeddings: context,
                })
            }
            Some((_, other)) => return unsupported("rope_type", other.to_owned(), "default or llama3"),
        };
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
        let rope_theta = self.rope_theta.or(rope.and_then(|rope| rope.rope_theta)).unwrap_or(10_000.0);
        Ok(ModelConfig {
            family,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: kv_heads,
            head_dim,
            vocab_size: self.vocab_size,
            rms_norm_eps: self.rms_norm_eps,
            rope_theta,
            rope_scaling,
            tie_word_embeddings: self.tie_word_embeddings.unwrap_or(family == Family::Gemma),
            attention_bias: self.attention_bias,
            mlp_bias: self.mlp_bias,
            activation,
            max_position_embeddings: self.max_position_embeddings,
        })
    }
}
