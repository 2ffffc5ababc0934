//! Base models as Hugging Face folders: one safetensors file, or several with an index.

mod diagnosis;
pub(crate) mod keys;
mod save;
mod shards;
mod source;

pub use save::{save_base, save_base_as, save_merged};
pub(crate) use shards::other_weights;

use crate::{CausalLm, ModelConfig, ModelError, ModelWarning, Precision, WeightTypes, check_for_placeholders};
use burn::tensor::Device;
use shards::Shards;
use source::{Reader, Survey};
use std::path::Path;

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// [`load_base_as`] in float32.
///
/// # Errors
/// Those of [`load_base_as`].
pub fn load_base(folder: &Path, device: &Device) -> Result<CausalLm, ModelError> {
    load_base_as(folder, Precision::Float32, device)
}

/// Loads a base model, frozen, from `config.json` and `model.safetensors` or
/// `model.safetensors.index.json` in `folder`. Tensor by tensor it is converted to these types, and linears are quantised
/// from the values in the file. Names that begin with what a wrapper has put there are read without it. What was read in
/// a way that may not have been meant is among [`CausalLm::warnings`].
///
/// # Errors
/// The device cannot compute with these types; a file is missing, truncated or foreign; the config describes something
/// that is not implemented; another program has quantised the weights; tensors are missing, unexpected or misshaped, in
/// which case all of them are listed; a value is not finite. Nothing of the model's size is allocated before its tensors
/// have been compared with the files'.
pub fn load_base_as(folder: &Path, types: impl Into<WeightTypes>, device: &Device) -> Result<CausalLm, ModelError> {
    let types = types.into();
    types.check(device)?;
    check_for_placeholders(folder)?;
    let (mut config, mut warnings) = ModelConfig::read(folder)?;
    let mut shards = Shards::open(folder)?;
    warnings.extend(untie(&mut config, &mut shards, folder)?);
    compare(&config, &shards, folder, device)?;
    let mut reader = Reader { shards: &shards, types, device, error: None };
    let model = CausalLm::build(config, &mut reader);
    if let Some(error) = reader.error {
        return Err(error);
    }
    types.check_loaded(&model)?;
    Ok(model.with_warnings(warnings))
}

/// The output projection of a model that says that its embedding is it, as transformers 5 reads it: a projection of its
/// own counts where it differs from the embedding, and is the embedding where that is absent.
fn untie(config: &mut ModelConfig, shards: &mut Shards, folder: &Path) -> Result<Option<ModelWarning>, ModelError> {
    if !config.tie_word_embeddings || !shards.has(HEAD) {
        return Ok(None);
    }
    if !shards.has(EMBEDDING) {
        shards.rename(HEAD, EMBEDDING);
        return Ok(None);
    }
    if shards.are_same(EMBEDDING, HEAD)? {
        return Ok(None);
    }
    config.tie_word_embeddings = false;
    let what = format!("tie_word_embeddings is true, but the weights have a {HEAD} of their own, which counts");
    Ok(Some(ModelWarning { path: folder.join("config.json"), what }))
}

/// Compares the tensors of the config with those of the files.
fn compare(config: &ModelConfig, shards: &Shards, folder: &Path, device: &Device) -> Result<(), ModelError> {
    if let Some(method) = diagnosis::quantized(shards) {
        return Err(ModelError::QuantizedBase { path: folder.to_owned(), method });
    }
    let layers = shards.layers();
    if layers > 0 && layers != config.num_hidden_layers {
        let expected = format!("{layers}, as many layers as the weights have");
        let path = folder.join("config.json");
        return Err(ModelError::unsupported(&path, "num_hidden_layers", config.num_hidden_layers, expected));
    }
    let mut survey = Survey::new(shards, device);
    drop(CausalLm::build(config.clone(), &mut survey));
    let is_copy = |name: &str| name == HEAD && config.tie_word_embeddings;
    let mismatch = survey.finish(|name| name.ends_with("rotary_emb.inv_freq") || is_copy(name));
    if mismatch.is_empty() {
        return Ok(());
    }
    let cause = diagnosis::cause(&mismatch);
    Err(ModelError::Mismatch { path: folder.to_owned(), what: "model", mismatch, cause })
}
