//! Adapters as PEFT folders: `adapter_config.json` with `adapter_model.safetensors`, or with the `adapter_model.bin` of the
//! reference implementation.
//!
//! A plain LoRA is saved in the format of PEFT. Mixtures use the keys and fields of the reference implementation, plus a
//! format version.

use crate::{
    AdapterLayout, CausalLm, LinearShapes, MismatchCause, ModelError, TensorFile, TensorMismatch,
    adapter_config::{self, RawAdapterConfig},
    adapter_keys::{self, AdapterNames, adapter_tensors},
    base_folder::other_weights,
    pickle_file::PickleFile,
    regular_file,
    tensor_file::{write_atomically, write_tensors},
};
use adamole_core::{Adapter, AdapterConfig, MethodKind};
use burn::tensor::{DType, TensorData};
use std::{collections::BTreeMap, fs, path::Path};

/// The prefix of a linear's name in adapter files.
pub const KEY_PREFIX: &str = "base_model.model.";

/// Saves the adapters of a model to `folder`, which is created if necessary. `base` names the base model. Each file is
/// written atomically.
///
/// # Errors
/// The method is of another crate and not registered, so that the folder could not be loaded; or a file cannot be written.
pub fn save_adapter(model: &CausalLm, base: Option<&str>, folder: &Path) -> Result<(), ModelError> {
    let layout = model.layout();
    if let Some(kind) = layout.method().filter(|kind| MethodKind::by_peft_type(kind.peft_type).is_none()) {
        return Err(ModelError::NotRegistered { method: kind.name });
    }
    let mut tensors = Vec::new();
    for (name, linear) in model.linears() {
        for (key, data) in linear.adapter.iter().flat_map(adapter_tensors) {
            tensors.push((format!("{KEY_PREFIX}{name}.{key}"), data));
        }
    }
    fs::create_dir_all(folder).map_err(ModelError::io(folder))?;
    write_tensors(&folder.join("adapter_model.safetensors"), &tensors)?;
    let path = folder.join("adapter_config.json");
    let config = adapter_config::to_json(&layout, &linear_names(model), base);
    let config = serde_json::to_string_pretty(&config).map_err(ModelError::json(&path))?;
    write_atomically(&path, format!("{config}\n").as_bytes())
}

/// Loads the adapters of `folder` into a model, in place of its own. Keys are accepted in all unambiguous spellings.
/// Warnings are added to [`CausalLm::warnings`]. On error the model is unchanged.
///
/// # Errors
/// A file is missing, truncated or of another format; the config is not supported; tensors are missing, unexpected or
/// misshaped, which lists all of them; or a value is not finite. Memory for the adapters is allocated only after the tensors
/// of the config have been compared with those of the file.
pub fn load_adapter(model: &mut CausalLm, folder: &Path) -> Result<AdapterLayout, ModelError> {
    let path = folder.join("adapter_config.json");
    if !regular_file::exists(&path) {
        check_for_named(folder)?;
    }
    regular_file::check_folder(folder)?;
    let (config, warning) = RawAdapterConfig::from_file(&path)?;
    config.check_activation(&path, model.config())?;
    let linears = linear_names(model);
    let layout = config.resolve(&path, &linears)?;
    let file = AdapterFile::open(folder)?;
    let numbers_experts =
        |(_, config): (_, &AdapterConfig)| config.parameters(1, 1).iter().any(|it| it.experts.is_some());
    let has_experts = layout.iter().any(numbers_experts);
    let names = AdapterNames::new(file.path(), file.names(), has_experts)?;
    // In the order of the forward pass.
    let adapted = linears.iter().filter_map(|linear| Some((linear.as_str(), layout.get(linear)?)));
    compare(adapted, LinearShapes::of(model.config()), &names, &file, &path)?;
    let mut adapted = model.clone().with_warnings(warning);
    adapted.adapt_for_values(&layout);
    let mut shared: BTreeMap<(usize, String), (String, TensorData)> = BTreeMap::new();
    for (linear, module) in adapted.linears_mut() {
        if let Some(adapter) = &mut module.adapter {
            let d_in = adapter.a().dims()[1];
            let is_shared: Vec<String> = shared_keys(adapter);
            // `compare` has found every name.
            adapter_keys::join(adapter, |key| {
                let name = format!("{linear}.{key}");
                let values = file.weight(names.find(&name).unwrap_or(&name))?;
                if is_shared.iter().any(|shared| shared == key) {
                    let of_first =
                        shared.entry((d_in, key.to_owned())).or_insert_with(|| (name.clone(), values.clone()));
                    if of_first.1 != values {
                        let (path, first) = (file.path().to_owned(), of_first.0.clone());
                        return Err(ModelError::UnequalCopies { path, first, second: name });
                    }
                }
                Ok(values)
            })?;
        }
    }
    *model = adapted.tied();
    Ok(layout)
}

/// Compares the tensors of the adapted linears with those of the file.
fn compare<'a>(
    adapted: impl Iterator<Item = (&'a str, &'a AdapterConfig)>,
    shapes: LinearShapes<'_>,
    names: &AdapterNames,
    file: &AdapterFile,
    config: &Path,
) -> Result<(), ModelError> {
    let mut mismatch = TensorMismatch::default();
    let mut unread: BTreeMap<&str, &str> = names.iter().collect();
    let mut found_any = false;
    for (linear, adapter) in adapted {
        // Before they are enumerated: a config may hold any number.
        if adapter.num_experts() > names.len() {
            let expected = format!("no more than {}, the number of tensors in the file", names.len());
            return Err(ModelError::unsupported(config, "num_experts", adapter.num_experts(), expected));
        }
        let Some(shape) = shapes.of_linear(linear) else { continue };
        for (key, expected) in adapter_keys::shapes(adapter, shape) {
            let name = format!("{linear}.{key}");
            match unread.remove(name.as_str()).and_then(|own| Some((own, file.shape(own)?))) {
                None => mismatch.missing.push(format!("{KEY_PREFIX}{name}")),
                Some((own, found)) if found != expected => {
                    mismatch.misshaped.push((own.to_owned(), found.to_vec(), expected));
                }
                Some(_) => found_any = true,
            }
        }
    }
    // What the reference implementation and that of LD-MoLE store a second time.
    let is_copy = |key: &&str| [".moe_layer.", "sparsegen_fn."].iter().any(|copy| key.contains(copy));
    mismatch.unexpected.extend(unread.into_values().filter(|key| !is_copy(key)).map(str::to_owned));
    if mismatch.is_empty() {
        return Ok(());
    }
    let modules = whole_modules(&mismatch.unexpected);
    let cause = if !mismatch.misshaped.is_empty() || !found_any {
        MismatchCause::OtherModel
    } else if !modules.is_empty() {
        MismatchCause::SavedModules(modules)
    } else {
        MismatchCause::Incomplete
    };
    Err(ModelError::Mismatch { path: file.path().to_owned(), what: "adapter", mismatch, cause })
}

/// The keys of the parameters that an adapter shares with others.
fn shared_keys(adapter: &Adapter) -> Vec<String> {
    let shared = adapter.parameters().filter(|(spec, _)| spec.shared);
    shared.flat_map(|(spec, _)| spec.keys()).map(|(key, _)| key).collect()
}

/// The full modules in the file: embedding or output projection.
fn whole_modules(unexpected: &[String]) -> Vec<String> {
    let is_of = |key: &String, module: &str| key.split('.').any(|part| part == module) && !key.contains("lora_");
    let modules = ["embed_tokens", "lm_head"].into_iter();
    modules.filter(|module| unexpected.iter().any(|key| is_of(key, module))).map(str::to_owned).collect()
}

/// Checks that the subfolders hold no adapters, where PEFT saves named ones.
///
/// # Errors
/// The subfolders that do.
fn check_for_named(folder: &Path) -> Result<(), ModelError> {
    let entries = fs::read_dir(folder).map_err(ModelError::io(folder))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| entry.path().join("adapter_config.json").is_file())
        .map(|entry| entry.file_name().display().to_string())
        .collect();
    names.sort();
    if names.is_empty() { Ok(()) } else { Err(ModelError::NamedAdapters { folder: folder.to_owned(), names }) }
}

fn linear_names(model: &CausalLm) -> Vec<String> {
    model.linears().into_iter().map(|(name, _)| name).collect()
}

/// The file with the tensors of an adapter, in one of two formats.
enum AdapterFile {
    Safetensors(TensorFile),
    Pickle(PickleFile),
}

impl AdapterFile {
    fn open(folder: &Path) -> Result<Self, ModelError> {
        let (safetensors, pickle) = (folder.join("adapter_model.safetensors"), folder.join("adapter_model.bin"));
        match (regular_file::exists(&safetensors), regular_file::exists(&pickle)) {
            (true, _) => TensorFile::open(&safetensors).map(Self::Safetensors),
            (false, true) => PickleFile::open(&pickle).map(Self::Pickle),
            (false, false) => {
                Err(ModelError::NoAdapterWeights { folder: folder.to_owned(), others: other_weights(folder)? })
            }
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

    fn weight(&self, name: &str) -> Result<TensorData, ModelError> {
        match self {
            Self::Safetensors(file) => file.weight(name, DType::F32),
            Self::Pickle(file) => file.weight(name),
        }
    }
}
