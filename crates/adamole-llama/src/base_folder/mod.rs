//! Base models as Hugging Face folders: one safetensors file, or several with an index.

pub(crate) mod keys;
mod save;
mod shards;

pub use save::{save_base, save_base_as, save_merged};
pub(crate) use shards::other_weights;

use crate::{
    CausalLm, MismatchCause, ModelConfig, ModelError, ModelWarning, Precision, TensorMismatch, WeightTypes,
    model::TensorSource, regular_file,
};
use burn::tensor::{DType, Device, Tensor, TensorData};
use safetensors::Dtype;
use shards::Shards;
use std::{collections::BTreeSet, path::Path};

/// Name endings of the parts of quantised tensors, and the programs that write them.
const QUANTIZED_PARTS: [(&str, &str); 9] = [
    (".qweight", "GPTQ or AWQ"),
    (".absmax", "bitsandbytes to 4 bits"),
    (".quant_map", "bitsandbytes to 4 bits"),
    (".SCB", "bitsandbytes to 8 bits"),
    (".weight_packed", "compressed-tensors"),
    (".weight_scale_inv", "FP8"),
    (".weight_scale", "FP8 or compressed-tensors"),
    (".input_scale", "FP8"),
    (".scales", "MLX"),
];

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// [`load_base_as`] in float32.
///
/// # Errors
/// Those of [`load_base_as`].
pub fn load_base(folder: &Path, device: &Device) -> Result<CausalLm, ModelError> {
    load_base_as(folder, Precision::Float32, device)
}

/// Loads a frozen base model from `config.json` and `model.safetensors` or `model.safetensors.index.json` in `folder`.
/// Each tensor is converted to `types`; quantised linears are computed from the values in the file. Prefixes that wrappers
/// put before names are ignored. Warnings are in [`CausalLm::warnings`].
///
/// # Errors
/// The device does not support the types; a file is missing, truncated or of another format; the config describes an
/// unsupported model; the weights were quantised by another program; tensors are missing, unexpected or misshaped, which
/// lists all of them; or a value is not finite. Memory for the model is allocated only after the tensors of the config have
/// been compared with those of the files.
pub fn load_base_as(folder: &Path, types: impl Into<WeightTypes>, device: &Device) -> Result<CausalLm, ModelError> {
    let types = types.into();
    types.check(device)?;
    regular_file::check_folder(folder)?;
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

/// Resolves the output projection of a config with tied embeddings, as transformers 5 does: a stored projection takes
/// precedence if it differs from the embedding, and replaces a missing embedding.
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
    config.untie();
    let what = format!("tie_word_embeddings is true, but the weights hold another {HEAD}, which takes precedence");
    Ok(Some(ModelWarning { path: folder.join("config.json"), what }))
}

/// Compares the tensors of the config with those of the files.
fn compare(config: &ModelConfig, shards: &Shards, folder: &Path, device: &Device) -> Result<(), ModelError> {
    if let Some(method) = quantized(shards) {
        return Err(ModelError::QuantizedBase { path: folder.to_owned(), method });
    }
    let layers = shards.layers();
    if layers > 0 && layers != config.num_hidden_layers {
        let expected = format!("{layers}, the number of layers in the weights");
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
    let cause = probable_cause(&mismatch);
    Err(ModelError::Mismatch { path: folder.to_owned(), what: "model", mismatch, cause })
}

/// The method by which another program quantised the weights; `None` if they are floats.
fn quantized(shards: &Shards) -> Option<String> {
    let names = shards.names();
    let has = |end: &str| names.iter().any(|name| name.ends_with(end));
    if names.iter().any(|name| name.contains(".quant_state.")) {
        return Some("bitsandbytes to 4 bits".into());
    }
    if let Some((_, method)) = QUANTIZED_PARTS.iter().find(|(end, _)| has(end)) {
        return Some((*method).into());
    }
    names.iter().filter(|name| name.ends_with("_proj.weight")).find_map(|name| match shards.dtype(name)? {
        Dtype::F8_E4M3 | Dtype::F8_E5M2 => Some("FP8".into()),
        dtype @ (Dtype::U8 | Dtype::I8 | Dtype::I32 | Dtype::U32) => Some(format!("a method with {dtype:?} weights")),
        _ => None,
    })
}

/// The probable cause of a mismatch.
fn probable_cause(mismatch: &TensorMismatch) -> MismatchCause {
    if mismatch.missing == ["lm_head.weight"] && mismatch.misshaped.is_empty() {
        return MismatchCause::NoHead;
    }
    let first_norm = |name: &String| Some(name.strip_suffix("layers.0.input_layernorm.weight")?.to_owned());
    if let Some(prefix) = mismatch.unexpected.iter().find_map(first_norm).filter(|prefix| prefix != "model.") {
        return MismatchCause::Prefix(prefix);
    }
    match mismatch.misshaped.is_empty() && mismatch.missing.len() < 3 {
        true => MismatchCause::Incomplete,
        false => MismatchCause::OtherModel,
    }
}

/// A tensor source that compares names and shapes, and returns small placeholders.
struct Survey<'a> {
    shards: &'a Shards,
    unread: BTreeSet<String>,
    mismatch: TensorMismatch,
    device: &'a Device,
}

impl<'a> Survey<'a> {
    fn new(shards: &'a Shards, device: &'a Device) -> Self {
        Self { shards, unread: shards.names(), mismatch: TensorMismatch::default(), device }
    }

    /// All differences, without unexpected tensors for which `is_ignorable`.
    fn finish(mut self, is_ignorable: impl Fn(&str) -> bool) -> TensorMismatch {
        self.mismatch.unexpected.extend(self.unread.into_iter().filter(|name| !is_ignorable(name)));
        self.mismatch
    }
}

impl TensorSource for Survey<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<D> {
        self.unread.remove(name);
        match self.shards.shape(name) {
            None => self.mismatch.missing.push(name.to_owned()),
            Some(found) if found != shape => {
                self.mismatch.misshaped.push((name.to_owned(), found.to_vec(), shape.to_vec()));
            }
            Some(_) => {}
        }
        Tensor::zeros([1; D], self.device)
    }
}

/// A tensor source that reads the tensors of the files. [`Survey`] has found all of them.
struct Reader<'a> {
    shards: &'a Shards,
    types: WeightTypes,
    device: &'a Device,
    /// The first error. After it, tensors are placeholders, and the model is discarded.
    error: Option<ModelError>,
}

impl Reader<'_> {
    fn read(&mut self, name: &str, dtype: DType) -> Option<TensorData> {
        if self.error.is_some() {
            return None;
        }
        self.shards.weight(name, dtype).unwrap_or_else(|error| {
            self.error = Some(error);
            None
        })
    }

    fn placeholder<const D: usize>(&self) -> Tensor<D> {
        Tensor::zeros([1; D], self.device)
    }
}

impl TensorSource for Reader<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, _shape: [usize; D]) -> Tensor<D> {
        let dtype = self.types.precision.dtype();
        match self.read(name, dtype) {
            Some(data) => Tensor::from_data(data, (self.device, dtype)),
            None => self.placeholder(),
        }
    }

    fn linear(&mut self, name: &str, shape: [usize; 2]) -> Tensor<2> {
        let Some(quantization) = self.types.quantization else { return self.tensor(name, shape) };
        let Some(data) = self.read(name, DType::F32) else { return self.placeholder() };
        match quantization.apply(Tensor::from_data(data, (self.device, DType::F32))) {
            Some(weight) => weight,
            None => {
                self.error = Some(ModelError::NotQuantizable { linear: name.to_owned(), width: shape[1] });
                self.placeholder()
            }
        }
    }
}
