//! `config.json` of a Hugging Face folder, in the formats before and after transformers 5.

mod read;
mod rope;

use crate::{ModelError, ModelWarning, export, regular_file};
use burn::tensor::DType;
use read::RawConfig;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The supported model families. They share the same blocks and differ in details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Llama 2 and 3, SmolLM2, and other models with this type.
    Llama,
    /// Gemma 1: embeddings times `sqrt(hidden_size)`, normalisation by `1 + w`.
    Gemma,
}

/// The activation function of the feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// `x sigmoid(x)`.
    #[serde(rename = "silu")]
    Silu,
    /// GELU, `x Phi(x)`, exact; in the config of Gemma's first release.
    #[serde(rename = "gelu")]
    Gelu,
    /// The tanh approximation of GELU; in Gemma's later config files and transformers since 4.39.
    #[serde(rename = "gelu_pytorch_tanh")]
    GeluTanh,
}

/// The rotary scaling of Llama 3, which stretches long wavelengths.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Llama3Rope {
    /// The factor of the stretched wavelengths.
    pub factor: f32,
    /// Wavelengths above `original_max_position_embeddings / low_freq_factor` are stretched by `factor`.
    pub low_freq_factor: f32,
    /// Wavelengths below `original_max_position_embeddings / high_freq_factor` are unchanged.
    pub high_freq_factor: f32,
    /// The context length of the original training.
    pub original_max_position_embeddings: usize,
}

/// The configuration of a decoder-only model of the Llama family.
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
    /// The epsilon of RMSNorm.
    pub rms_norm_eps: f32,
    /// The base of the rotary wavelengths.
    pub rope_theta: f32,
    /// The scaling of the rotary wavelengths.
    pub rope_scaling: Option<Llama3Rope>,
    /// Whether the output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// Whether q, k, v and o have biases.
    pub attention_bias: bool,
    /// Whether the feed-forward linears have biases.
    pub mlp_bias: bool,
    /// The activation function of the feed-forward block.
    pub activation: Activation,
    /// The largest number of positions in training.
    pub max_position_embeddings: usize,
}

impl ModelConfig {
    /// Reads and checks `config.json` in `folder`.
    ///
    /// # Errors
    /// The file is missing or not JSON, lacks a field, has impossible sizes, or describes an unsupported model.
    pub fn from_folder(folder: &Path) -> Result<Self, ModelError> {
        Self::read(folder).map(|(config, _)| config)
    }

    /// [`ModelConfig::from_folder`] with warnings about contradictory and ignored fields, which are resolved as in
    /// transformers 5.
    pub(crate) fn read(folder: &Path) -> Result<(Self, Vec<ModelWarning>), ModelError> {
        let path = folder.join("config.json");
        let text = regular_file::read_to_string(&path)?;
        let raw: RawConfig = serde_json::from_str(&text).map_err(ModelError::json(&path))?;
        let mut notes = Vec::new();
        let config = raw.validate(&path, &mut notes)?;
        let warning = |what| ModelWarning { path: path.clone(), what };
        Ok((config, notes.into_iter().map(warning).collect()))
    }

    /// The content of `config.json` for weights of this type.
    pub(crate) fn to_json(&self, weights: DType) -> serde_json::Value {
        let architecture = match self.family {
            Family::Llama => "LlamaForCausalLM",
            Family::Gemma => "GemmaForCausalLM",
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
            "torch_dtype": export::name(weights),
        })
    }

    /// The factor of the embeddings; `None` if they are not scaled.
    pub(crate) fn embedding_scale(&self) -> Option<f32> {
        (self.family == Family::Gemma).then(|| (self.hidden_size as f32).sqrt())
    }

    /// The constant that is added to the weights of RMSNorm.
    pub(crate) fn norm_offset(&self) -> f32 {
        match self.family {
            Family::Llama => 0.0,
            Family::Gemma => 1.0,
        }
    }
}
