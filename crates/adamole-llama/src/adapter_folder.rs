//! Adapters as PEFT folders: `adapter_config.json` with `adapter_model.safetensors`, or with the `adapter_model.bin` of
//! the published implementation.
//!
//! A plain LoRA is written in the form that HF PEFT reads; gated mixtures use the key names and fields of the
//! published AdaMoLE implementation, plus a format version.

use crate::{
    AdapterLayout, AdapterTensors, CausalLm, ModelError, TensorFile, TensorMismatch,
    adapter_config::{self, RawAdapterConfig},
    adapter_keys,
    pickle_file::PickleFile,
    tensor_file::{write_atomically, write_tensors},
};
use burn::tensor::TensorData;
use std::{collections::BTreeSet, fs, path::Path};

/// What stands before a linear's name in adapter files.
pub const KEY_PREFIX: &str = "base_model.model.";

/// Writes the model's adapters to `folder`, which is created; `base` says what they were trained on. Each file is
/// written whole or not at all.
///
/// # Errors
/// A file cannot be written.
pub fn save_adapter(model: &CausalLm, base: Option<&str>, folder: &Path) -> Result<(), ModelError> {
    let mut tensors = Vec::new();
    for (name, linear) in model.linears() {
        for (key, data) in linear.adapter.iter().flat_map(|adapter| AdapterTensors::values(adapter).split()) {
            tensors.push((format!("{KEY_PREFIX}{name}.{key}"), data));
        }
    }
    fs::create_dir_all(folder).map_err(ModelError::io(folder))?;
    write_tensors(&folder.join("adapter_model.safetensors"), &tensors)?;
    let path = folder.join("adapter_config.json");
    let config = adapter_config::to_json(&model.layout(), &linear_names(model), base);
    let config = serde_json::to_string_pretty(&config).map_err(ModelError::json(&path))?;
    write_atomically(&path, format!("{config}\n").as_bytes())
}

/// Puts the adapters of `folder` on the model, in place of any that it has. The model is left as it was on error.
///
/// # Errors
/// A file is missing, truncated or foreign; the config is not supported; or tensors are missing, unexpected or
/// misshaped, in which case all of them are listed.
pub fn load_adapter(model: &mut CausalLm, folder: &Path) -> Result<AdapterLayout, ModelError> {
    let path = folder.join("adapter_config.json");
    let layout = RawAdapterConfig::from_file(&path)?.resolve(&path, &linear_names(model))?;
    let file = AdapterFile::open(folder)?;
    let mut adapted = model.clone();
    adapted.adapt(&layout, 0);

    let mut mismatch = TensorMismatch::default();
    let mut unread: BTreeSet<String> = file.names().into_iter().collect();
    for (name, linear) in adapted.linears() {
        let Some(adapter) = &linear.adapter else { continue };
        for (key, expected) in adapter_keys::shapes(adapter) {
            let key = format!("{KEY_PREFIX}{name}.{key}");
            unread.remove(&key);
            match file.shape(&key) {
                None => mismatch.missing.push(key),
                Some(found) if found != expected => mismatch.misshaped.push((key, found.to_vec(), expected)),
                Some(_) => {}
            }
        }
    }
    // The published implementation stores every expert a second time under this name.
    mismatch.unexpected.extend(unread.into_iter().filter(|key| !key.contains(".moe_layer.")));
    if !mismatch.is_empty() {
        return Err(ModelError::Mismatch { path: file.path().to_owned(), what: "adapter", mismatch });
    }
    for (name, linear) in adapted.linears_mut() {
        if let Some(adapter) = &mut linear.adapter {
            adapter_keys::join(adapter, |key| file.floats(&format!("{KEY_PREFIX}{name}.{key}")))?;
        }
    }
    *model = adapted;
    Ok(layout)
}

fn linear_names(model: &CausalLm) -> Vec<String> {
    model.linears().into_iter().map(|(name, _)| name).collect()
}

/// Either file that an adapter's tensors are found in.
enum AdapterFile {
    Safetensors(TensorFile),
    Pickle(PickleFile),
}

impl AdapterFile {
    fn open(folder: &Path) -> Result<Self, ModelError> {
        let (safetensors, pickle) = (folder.join("adapter_model.safetensors"), folder.join("adapter_model.bin"));
        match !safetensors.exists() && pickle.exists() {
            true => PickleFile::open(&pickle).map(Self::Pickle),
            false => TensorFile::open(&safetensors).map(Self::Safetensors),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Safetensors(file) => file.path(),
            Self::Pickle(file) => file.path(),
        }
    }

    fn names(&self) -> Vec<String> {
        match self {
            Self::Safetensors(file) => file.names(),
            Self::Pickle(file) => file.names(),
        }
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        match self {
            Self::Safetensors(file) => file.shape(name),
            Self::Pickle(file) => file.shape(name),
        }
    }

    fn floats(&self, name: &str) -> Result<TensorData, ModelError> {
        match self {
            Self::Safetensors(file) => file.floats(name),
            Self::Pickle(file) => file.floats(name),
        }
    }
}
