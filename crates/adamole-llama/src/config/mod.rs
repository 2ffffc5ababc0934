//! `config.json` of a Hugging Face folder, in the formats before and after transformers 5.

mod family;
mod known;
mod layers;
mod read;
mod rotations;

use crate::{ModelError, ModelWarning, Rotation, export, regular_file};
use burn::tensor::DType;
use family::Family;
pub(crate) use family::activation;
use read::RawConfig;
use serde_json::{Map, Value, json};
use std::path::Path;

/// The activation function of the feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x sigmoid(x)`.
    Silu,
    /// GELU, `x Phi(x)`, exact.
    Gelu,
    /// The tanh approximation of GELU.
    GeluTanh,
}

/// Which linears have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Biases {
    /// Those of queries, keys and values.
    pub qkv: bool,
    /// That of the attention's output.
    pub o: bool,
    /// Those of the feed-forward block.
    pub mlp: bool,
}

/// The norms of a model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Norms {
    /// The epsilon of RMSNorm.
    pub eps: f32,
    /// The constant that is added to the weights.
    pub offset: f32,
    /// Whether the outputs of attention and feed-forward block are normalised too, before they are added.
    pub of_outputs: bool,
    /// Whether queries and keys are normalised, head by head.
    pub of_heads: bool,
}

/// The attention of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerAttention {
    /// The number of positions that a query sees, its own among them; `None` for all before it.
    pub window: Option<usize>,
    /// The index in [`ModelConfig::rotations`]; `None` where nothing is rotated.
    pub rotation: Option<usize>,
}

/// What is between the hidden states and the scores of a model, and how they are bounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores {
    /// The factor of attention scores.
    pub scale: f32,
    /// The bound c of attention scores, `c tanh(x / c)`.
    pub cap: Option<f32>,
    /// The bound of the scores over the vocabulary.
    pub logit_cap: Option<f32>,
}

/// The configuration of a decoder-only model: what its family fixes and what its file says, by effect. It is read from JSON,
/// which it keeps.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelConfig {
    /// The family, as `model_type` in the file.
    pub model_type: &'static str,
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
    /// Whether the output projection is the embedding.
    pub tie_word_embeddings: bool,
    /// The largest number of positions in training.
    pub max_position_embeddings: usize,
    /// The activation function of the feed-forward block.
    pub activation: Activation,
    /// Which linears have biases.
    pub biases: Biases,
    /// The norms.
    pub norms: Norms,
    /// Whether q, k and v are one linear, `qkv_proj`, and gate and up another, `gate_up_proj`.
    pub fused_linears: bool,
    /// The factor of the embeddings; `None` if they are not scaled.
    pub embedding_scale: Option<f32>,
    /// Scale and bounds of scores.
    pub scores: Scores,
    /// The attention of each layer.
    pub layers: Vec<LayerAttention>,
    /// The rotations of queries and keys that layers have.
    pub rotations: Vec<Rotation>,
    /// The file's content.
    json: Map<String, Value>,
}

impl ModelConfig {
    /// Reads and checks `config.json` in `folder`.
    ///
    /// # Errors
    /// The file is missing or not JSON, lacks a field, has impossible sizes, or describes an unsupported model.
    pub fn from_folder(folder: &Path) -> Result<Self, ModelError> {
        Self::read(folder).map(|(config, _)| config)
    }

    /// Reads and checks the content of a `config.json`.
    ///
    /// # Errors
    /// Those of [`ModelConfig::from_folder`].
    pub fn from_json(json: &Value) -> Result<Self, ModelError> {
        Self::parse(json.to_string(), Path::new("config.json")).map(|(config, _)| config)
    }

    /// This configuration with other values of these fields of the file.
    ///
    /// # Errors
    /// Those of [`ModelConfig::from_folder`].
    pub fn with(&self, fields: Map<String, Value>) -> Result<Self, ModelError> {
        let mut json = self.json.clone();
        json.extend(fields);
        Self::from_json(&Value::Object(json))
    }

    /// [`ModelConfig::from_folder`] with warnings about contradictory and ignored fields, which are resolved as in
    /// transformers 5.
    pub(crate) fn read(folder: &Path) -> Result<(Self, Vec<ModelWarning>), ModelError> {
        let path = folder.join("config.json");
        Self::parse(regular_file::read_to_string(&path)?, &path)
    }

    fn parse(text: String, path: &Path) -> Result<(Self, Vec<ModelWarning>), ModelError> {
        let raw: RawConfig = serde_json::from_str(&text).map_err(ModelError::json(path))?;
        let json = serde_json::from_str(&text).map_err(ModelError::json(path))?;
        let mut notes = Vec::new();
        let config = Self { json, ..raw.validate(path, &mut notes)? };
        let warning = |what| ModelWarning { path: path.to_owned(), what };
        Ok((config, notes.into_iter().map(warning).collect()))
    }

    /// Whether keys that were cached while a text had `before` positions cannot serve it once it has `after`, since it is
    /// rotated in another way then.
    pub fn is_rotated_anew(&self, before: usize, after: usize) -> bool {
        self.rotations.iter().any(|rotation| rotation.invalidates(before, after))
    }

    /// The content of `config.json` for weights of this type.
    pub(crate) fn to_json(&self, weights: DType) -> Value {
        let mut json = self.json.clone();
        if let Some(family) = Family::named(self.model_type) {
            json.entry("architectures").or_insert_with(|| json!([family.architecture]));
        }
        // The name of the field before transformers 5, and since.
        let field = if json.contains_key("dtype") { "dtype" } else { "torch_dtype" };
        json.insert(field.into(), json!(export::name(weights)));
        Value::Object(json)
    }

    /// Gives the output projection weights of its own.
    pub(crate) fn untie(&mut self) {
        self.tie_word_embeddings = false;
        self.json.insert("tie_word_embeddings".into(), json!(false));
    }
}
