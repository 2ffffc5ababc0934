//! Models and plain LoRAs as GGUF files, which llama.cpp and what is built on it read.
//!
//! The keys and the order of rows are those of llama.cpp's `convert_hf_to_gguf.py` and `convert_lora_to_gguf.py`.

mod container;
mod encoding;
mod hyperparameters;
mod pre_tokenizer;
mod tensors;
mod token_texts;
mod tokenizer;

pub use encoding::GgufType;

use crate::{CausalLm, ModelError, ModelWarning};
use container::{Metadata, Value};
use hyperparameters::ARCHITECTURE;
use std::path::Path;

/// The version of the quantisation formats of ggml.
const QUANTIZATION_VERSION: u32 = 2;

/// Where the metadata of a GGUF file comes from.
#[derive(Debug, Clone, Copy)]
pub struct GgufSource<'a> {
    /// The folder of the model, with `config.json` and `tokenizer.json`.
    pub folder: &'a Path,
    /// The name of the model, for people.
    pub name: &'a str,
    /// The token that begins a text.
    pub bos: Option<u32>,
    /// The token that ends a text.
    pub eos: Option<u32>,
    /// The chat template.
    pub chat_template: Option<&'a str>,
}

/// Writes the base of `model` with hyper-parameters, tokenizer and chat template to the GGUF file `path`. Adapters are left
/// out: [`merge`](crate::merge) them before. Returns what llama.cpp does in another way, for rare texts or long ones.
///
/// # Errors
/// llama.cpp would compute something else of this model, or encode texts in another way; a weight is not finite in `kind`;
/// a file of the folder cannot be read, or the file cannot be written.
pub fn save_gguf(
    model: &CausalLm,
    source: &GgufSource<'_>,
    kind: GgufType,
    path: &Path,
) -> Result<Vec<ModelWarning>, ModelError> {
    let mut metadata = Metadata::default();
    metadata.text("general.architecture", ARCHITECTURE);
    metadata.text("general.type", "model");
    metadata.text("general.name", source.name);
    let of_positions = hyperparameters::add(model.config(), &source.folder.join("config.json"), &mut metadata)?;
    metadata.set("general.file_type", Value::U32(kind.file_type()));
    metadata.set("general.quantization_version", Value::U32(QUANTIZATION_VERSION));
    let mut warnings = tokenizer::add(source, model.config().vocab_size, &mut metadata)?;
    warnings.extend(of_positions);
    container::write(path, &metadata, &tensors::of_base(model, kind, path)?)?;
    Ok(warnings)
}

/// Writes the plain LoRA of `model` to the GGUF file `path`, to be put on the base in llama.cpp. Returns the number of
/// adapted linears.
///
/// # Errors
/// The model is none that [`save_gguf`] writes, has no adapter, or another one than a plain LoRA; a weight is not finite in
/// `kind`; or the file cannot be written.
pub fn save_gguf_adapter(
    model: &CausalLm,
    source: &GgufSource<'_>,
    kind: GgufType,
    path: &Path,
) -> Result<usize, ModelError> {
    hyperparameters::check(model.config(), &source.folder.join("config.json"))?;
    let (alpha, tensors) = tensors::of_adapters(model, kind, path)?;
    let mut metadata = Metadata::default();
    metadata.text("general.architecture", ARCHITECTURE);
    metadata.text("general.type", "adapter");
    metadata.text("adapter.type", "lora");
    metadata.text("general.name", source.name);
    metadata.set("general.file_type", Value::U32(kind.file_type()));
    metadata.set("general.quantization_version", Value::U32(QUANTIZATION_VERSION));
    metadata.set("adapter.lora.alpha", Value::F32(alpha));
    container::write(path, &metadata, &tensors)?;
    Ok(tensors.len() / 2)
}
