//! The hyper-parameters of a model as metadata, for the architecture `llama`.

use super::container::{Metadata, Value};
use crate::{Activation, ModelConfig, ModelError, ModelWarning, Norms, RotationScaling, Scores};
use std::path::Path;

/// The name of the architecture in llama.cpp, for all families here that it computes alike.
pub(super) const ARCHITECTURE: &str = "llama";

/// The families that llama.cpp computes as its architecture `llama`.
const FAMILIES: [&str; 2] = ["llama", "mistral"];

/// Adds the hyper-parameters of `config`, which was read from `path`. Returns what holds in llama.cpp only in part.
///
/// # Errors
/// The architecture `llama` computes something else.
pub(super) fn add(
    config: &ModelConfig,
    path: &Path,
    metadata: &mut Metadata,
) -> Result<Option<ModelWarning>, ModelError> {
    check(config, path)?;
    let (positions, warning) = positions(config, path);
    let key = |name: &str| format!("{ARCHITECTURE}.{name}");
    metadata.size(key("block_count"), config.num_hidden_layers);
    metadata.size(key("context_length"), positions);
    metadata.size(key("embedding_length"), config.hidden_size);
    metadata.size(key("feed_forward_length"), config.intermediate_size);
    metadata.size(key("attention.head_count"), config.num_attention_heads);
    metadata.size(key("attention.head_count_kv"), config.num_key_value_heads);
    metadata.size(key("attention.key_length"), config.head_dim);
    metadata.size(key("attention.value_length"), config.head_dim);
    metadata.set(key("attention.layer_norm_rms_epsilon"), Value::F32(config.norms.eps));
    metadata.size(key("vocab_size"), config.vocab_size);
    metadata.size(key("rope.dimension_count"), config.head_dim);
    if let Some(rotation) = config.rotations.first() {
        metadata.set(key("rope.freq_base"), Value::F32(rotation.theta));
        match rotation.scaling {
            // The factors of Llama 3.1 are a tensor.
            RotationScaling::None | RotationScaling::Llama3 { .. } => {}
            RotationScaling::Linear { factor } => {
                metadata.text(key("rope.scaling.type"), "linear");
                metadata.set(key("rope.scaling.factor"), Value::F32(factor));
            }
            _ => {
                let expected = "default, linear or llama3";
                return Err(ModelError::not_in_gguf(path, "rope_type", scaling_name(&rotation.scaling), expected));
            }
        }
    }
    Ok(warning)
}

fn scaling_name(scaling: &RotationScaling) -> &'static str {
    match scaling {
        RotationScaling::None => "default",
        RotationScaling::Linear { .. } => "linear",
        RotationScaling::Dynamic { .. } => "dynamic",
        RotationScaling::Llama3 { .. } => "llama3",
        RotationScaling::Yarn { .. } => "yarn",
        RotationScaling::LongRope { .. } => "longrope",
    }
}

/// That the model is a Llama: what its family fixes is checked too, for families to come.
pub(super) fn check(config: &ModelConfig, path: &Path) -> Result<(), ModelError> {
    let families = FAMILIES.join(" or ");
    let refused =
        |field: &str, value: String, expected: &str| Err(ModelError::not_in_gguf(path, field, value, expected));
    if !FAMILIES.contains(&config.model_type) {
        return refused("model_type", config.model_type.into(), &families);
    }
    if config.activation != Activation::Silu {
        return refused("hidden_act", format!("{:?}", config.activation), "silu");
    }
    let Norms { eps: _, offset, of_outputs, of_heads } = config.norms;
    let Scores { scale, cap, logit_cap } = config.scores;
    let usual_scale = 1.0 / (config.head_dim as f32).sqrt();
    let is_llama = offset == 0.0
        && !of_outputs
        && !of_heads
        && !config.fused_linears
        && config.embedding_scale.is_none()
        && cap.is_none()
        && logit_cap.is_none()
        && (scale - usual_scale).abs() <= 1e-6 * usual_scale
        && config.layers.iter().all(|layer| layer.rotation == Some(0))
        && config.rotations.iter().all(|rotation| rotation.width == config.head_dim);
    match is_llama {
        true => Ok(()),
        false => refused("model_type", config.model_type.into(), "a model that is computed as a Llama"),
    }
}

/// The number of positions for which the file is right: llama.cpp computes a Llama without windows.
fn positions(config: &ModelConfig, path: &Path) -> (usize, Option<ModelWarning>) {
    let window = config.layers.iter().filter_map(|layer| layer.window).min();
    match window.filter(|window| *window < config.max_position_embeddings) {
        None => (config.max_position_embeddings, None),
        Some(window) => {
            let what = format!(
                "sliding_window is {window}, and llama.cpp has none for this family; the file has {window} positions \
                 (context_length), up to which nothing changes"
            );
            (window, Some(ModelWarning { path: path.to_owned(), what }))
        }
    }
}
