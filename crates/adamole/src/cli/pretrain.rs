//! `adamole pretrain`: a small base model from random weights.

use super::{
    Failure,
    inputs::workers,
    output::{Format, duration, print},
    settings::ConfigError,
};
use adamole::{
    core::SettingError,
    data::train_tokenizer,
    device,
    llama::{CausalLm, ModelConfig, ModelError, Precision, save_base_as},
    train::{Corpus, PretrainRecipe, Workers, pretrain, validation_loss},
};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

/// What help ends with.
const EXAMPLES: &str = "\
Examples:
  adamole pretrain --config base.toml --corpus all.jsonl --validation some.jsonl --output base";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PretrainArguments {
    /// TOML file with the sections [model] and [train]
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Training documents: JSON Lines with a "text"
    #[arg(long, value_name = "FILE")]
    corpus: PathBuf,
    /// Validation documents
    #[arg(long, value_name = "FILE")]
    validation: PathBuf,
    /// Hugging Face folder to write
    #[arg(long, value_name = "PATH")]
    output: PathBuf,
    /// Device: auto, cpu, cuda, vulkan or wgpu
    ///
    /// The last three may have an :INDEX.
    #[arg(long, default_value = "auto")]
    device: String,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// The configuration file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    model: Shape,
    train: PretrainRecipe,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    /// The `model_type` of a family.
    #[serde(default = "llama")]
    family: String,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    /// Width of one head, where it is not hidden_size / num_attention_heads.
    head_dim: Option<usize>,
    vocab_size: usize,
    rope_theta: f32,
    rms_norm_eps: f32,
    /// Type of the weights in the files; they are trained in float32.
    #[serde(default)]
    dtype: Precision,
}

fn llama() -> String {
    "llama".into()
}

#[derive(Serialize)]
struct Report {
    parameters: usize,
    train_tokens: usize,
    train_loss: f64,
    validation_loss: f64,
    seconds: f64,
    tokens_per_second: f64,
}

pub(crate) fn run(arguments: PretrainArguments) -> Result<(), Failure> {
    let path = &arguments.config;
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.clone(), source })?;
    let Config { model: shape, train: recipe } =
        toml::from_str(&text).map_err(|source| ConfigError::Toml { path: path.clone(), source })?;
    recipe.validate()?;
    shape.validate()?;
    let config = shape.config(&recipe)?;
    let device = device::open(&arguments.device)?.autodiff();
    let documents = read_documents(&arguments.corpus)?;
    let held_out = read_documents(&arguments.validation)?;

    let tokenizer = train_tokenizer(&documents, shape.vocab_size, &arguments.output)?;
    let tokens = |documents: &[String]| -> Result<Vec<u32>, Failure> {
        let mut tokens = Vec::new();
        for document in documents {
            tokens.extend(tokenizer.encode_text(document)?);
            tokens.extend(tokenizer.eos());
        }
        Ok(tokens)
    };
    let (tokens, held_out) = (tokens(&documents)?, tokens(&held_out)?);
    say!("{} training tokens, {} validation tokens", tokens.len(), held_out.len());

    let workers = Workers::new(workers(None, device::is_cpu(&device.clone().inner())));
    let model = CausalLm::random(config, recipe.seed, &device);
    let parameters = burn::module::Module::num_params(&model);
    let corpus = |tokens| Corpus { tokens, bos: tokenizer.bos() };
    let started = Instant::now();
    let mut train_loss = f64::NAN;
    let model = pretrain(model, corpus(&tokens), &recipe, &workers, |step| {
        train_loss = if train_loss.is_nan() { step.loss } else { 0.98 * train_loss + 0.02 * step.loss };
        let done = step.step + 1;
        if done % 100 == 0 {
            let left = started.elapsed().as_secs_f64() * (recipe.steps - done) as f64 / done as f64;
            say!("step {done} of {}: loss {train_loss:.4}, {} left", recipe.steps, duration(left));
        }
    })?;
    let seconds = started.elapsed().as_secs_f64();
    let validation_loss = validation_loss(&model, corpus(&held_out), recipe.sequence_length, &workers)?;
    save_base_as(&model, shape.dtype, &arguments.output)?;
    let train_tokens = recipe.steps * recipe.batch_size * recipe.sequence_length;
    let report = Report {
        parameters,
        train_tokens,
        train_loss,
        validation_loss,
        seconds,
        tokens_per_second: train_tokens as f64 / seconds,
    };
    print(arguments.format, &report, || {
        format!("{parameters} parameters, validation loss {validation_loss:.4} after {}", duration(seconds))
    })
}

impl Shape {
    /// Checks that it is the shape of a model.
    fn validate(&self) -> Result<(), SettingError> {
        let Self { hidden_size, num_attention_heads: heads, num_key_value_heads: groups, .. } = *self;
        for (name, size) in [
            ("hidden_size", hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", heads),
            ("num_key_value_heads", groups),
            ("head_dim", self.head_dim.unwrap_or(1)),
            ("vocab_size", self.vocab_size),
        ] {
            if size == 0 {
                return Err(SettingError::invalid(name, size, "an integer of at least 1"));
            }
        }
        for (name, value) in [("rope_theta", self.rope_theta), ("rms_norm_eps", self.rms_norm_eps)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(SettingError::invalid(name, value, "a number above 0"));
            }
        }
        if !heads.is_multiple_of(groups) {
            let expected = format!("a divisor of num_attention_heads, {heads}");
            return Err(SettingError::invalid("num_key_value_heads", groups, expected));
        }
        match self.head_dim.unwrap_or(hidden_size / heads) {
            width if width == 0 || !width.is_multiple_of(2) => Err(SettingError::invalid(
                "head_dim",
                width,
                "an even number, hidden_size / num_attention_heads by default",
            )),
            _ => Ok(()),
        }
    }

    fn config(&self, recipe: &PretrainRecipe) -> Result<ModelConfig, ModelError> {
        ModelConfig::from_json(&json!({
            "model_type": self.family,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads),
            "vocab_size": self.vocab_size,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": true,
            "max_position_embeddings": recipe.sequence_length,
        }))
    }
}

fn read_documents(path: &Path) -> Result<Vec<String>, Failure> {
    #[derive(Deserialize)]
    struct Document {
        text: String,
    }
    let usage = |message: String| Failure::Usage(format!("{}: {message}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
    let documents = text.lines().enumerate().map(|(i, line)| {
        let document: Document =
            serde_json::from_str(line).map_err(|error| usage(format!("line {}: {error}", i + 1)))?;
        Ok(document.text)
    });
    documents.collect()
}
