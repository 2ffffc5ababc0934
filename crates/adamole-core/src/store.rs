//! The adapters of any Burn module as a file, without the frozen weights.
//!
//! The file is in the format of safetensors, written and read by burn-store. A tensor's name is its place in the module:
//! `up.adapter.gate`. What the adapters compute is in the file's metadata: the same tensors would do with another method.

mod census;
mod error;

pub use error::{AdapterMismatch, StoreError};

use burn::{
    module::{Module, ParamId},
    tensor::{DType, TensorData},
};
use burn_store::{ModuleSnapshot, ModuleStore, SafetensorsStore, bridge, burn_pack::Tensor};
use census::{Census, Found};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::Path};

/// The field of the file's metadata.
const METADATA: &str = "adamole_adapters";
/// The newest version of the format.
const VERSION: u32 = 1;

/// What the file says of its adapters.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    /// What each computes, by its place in the module.
    adapters: BTreeMap<String, Value>,
}

/// Saves the adapters of a module, and nothing else of it. A file that exists is replaced once the new one is complete.
///
/// # Errors
/// The module has no adapter, or the file cannot be written.
pub fn save_adapters<M: Module>(module: &M, path: impl AsRef<Path>) -> Result<(), StoreError> {
    let path = path.as_ref();
    let census = Census::of(module);
    if census.adapters.is_empty() {
        return Err(StoreError::NoAdapter);
    }
    let adapters = census.adapters.iter().map(|(place, found)| (place.clone(), found.description.clone())).collect();
    let header = serde_json::to_string(&Header { version: VERSION, adapters });
    let header = header.map_err(|error| StoreError::write(path, error))?;
    let names = census.adapters.into_values().flat_map(|found| found.parameters.into_keys());
    let store = SafetensorsStore::from_file(path).overwrite(true).with_full_paths(names);
    module.save_into(&mut store.metadata(METADATA, header)).map_err(|error| StoreError::write(path, error))
}

/// Loads the adapters of a file into a module that has adapters of the same settings at the same places; see
/// [`AdaptedLinear::adapt_for_values`](crate::AdaptedLinear::adapt_for_values). On error the module is unchanged.
///
/// # Errors
/// The file cannot be read, is not one of [`save_adapters`], or does not fit the module: an adapter is missing on either
/// side, has other settings or shapes, or a value is not finite. All that does not fit is one error.
pub fn load_adapters<M: Module>(module: &mut M, path: impl AsRef<Path>) -> Result<(), StoreError> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    let header = header(&bytes, path)?;
    let mut store = SafetensorsStore::from_bytes(Some(bytes)).allow_partial(true);
    let tensors = store.get_all_tensors().map_err(|error| StoreError::format(path, error))?;
    let census = Census::of(module);
    let mut mismatches = of_adapters(&census.adapters, &header.adapters);
    mismatches.extend(of_tensors(&census.adapters, &header.adapters, tensors, path)?);
    if !mismatches.is_empty() {
        return Err(StoreError::Mismatch { path: path.to_owned(), mismatches });
    }
    let mut loaded = module.clone();
    loaded.load_from(&mut store).map_err(|error| StoreError::format(path, error))?;
    *module = loaded;
    Ok(())
}

/// What the file says of its adapters.
fn header(bytes: &[u8], path: &Path) -> Result<Header, StoreError> {
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| StoreError::format(path, error))?;
    let text = metadata.metadata().as_ref().and_then(|fields| fields.get(METADATA));
    let text = text.ok_or_else(|| StoreError::format(path, format!("its metadata has no {METADATA}")))?;
    let header: Header = serde_json::from_str(text).map_err(|error| StoreError::format(path, error))?;
    match header.version {
        VERSION => Ok(header),
        version => Err(StoreError::format(path, format!("its version is {version}, expected {VERSION}"))),
    }
}

/// Where the adapters of a module and those of a file differ.
fn of_adapters(module: &BTreeMap<String, Found>, file: &BTreeMap<String, Value>) -> Vec<AdapterMismatch> {
    let absent = file.iter().filter(|(place, _)| !module.contains_key(*place));
    let absent =
        absent.map(|(place, it)| AdapterMismatch::NotInModule { adapter: place.clone(), file: it.to_string() });
    let differs = module.iter().filter_map(|(place, found)| {
        let (adapter, module) = (place.clone(), found.description.to_string());
        match file.get(place) {
            None => Some(AdapterMismatch::NotInFile { adapter }),
            Some(file) if *file != found.description => {
                Some(AdapterMismatch::OtherSettings { adapter, file: file.to_string(), module })
            }
            Some(_) => None,
        }
    });
    absent.chain(differs).collect()
}

/// Where the tensors of adapters that are on both sides differ, and tensors of no adapter.
fn of_tensors(
    module: &BTreeMap<String, Found>,
    file: &BTreeMap<String, Value>,
    tensors: &BTreeMap<String, Tensor>,
    path: &Path,
) -> Result<Vec<AdapterMismatch>, StoreError> {
    let mut mismatches = Vec::new();
    let mut shared: BTreeMap<ParamId, (&str, TensorData)> = BTreeMap::new();
    let on_both_sides = module.iter().filter(|(place, _)| file.contains_key(*place));
    for (name, parameter) in on_both_sides.flat_map(|(_, found)| &found.parameters) {
        let Some(tensor) = tensors.get(name) else {
            mismatches.push(AdapterMismatch::Missing { tensor: name.clone() });
            continue;
        };
        let (expected, shape) = (&parameter.shape, tensor.shape.to_vec());
        if tensor.dtype != DType::F32 || shape != *expected {
            let (found, expected) = (format!("{shape:?} of {:?}", tensor.dtype), format!("{expected:?} of F32"));
            mismatches.push(AdapterMismatch::Tensor { tensor: name.clone(), found, expected });
            continue;
        }
        let values = bridge::to_data(tensor).map_err(|error| StoreError::format(path, error))?;
        if values.iter::<f32>().any(|value| !value.is_finite()) {
            mismatches.push(AdapterMismatch::NotFinite { tensor: name.clone() });
        }
        let (first, of_first) = shared.entry(parameter.id).or_insert_with(|| (name, values.clone()));
        // A value that is not a number is unequal to itself.
        if of_first.as_bytes() != values.as_bytes() {
            mismatches.push(AdapterMismatch::UnequalCopies { first: (*first).to_owned(), second: name.clone() });
        }
    }
    let is_of = |name: &str, place: &str| name.strip_prefix(place).is_some_and(|rest| rest.starts_with('.'));
    let is_expected = |name: &String| {
        let of_absent = file.keys().any(|place| !module.contains_key(place) && is_of(name, place));
        of_absent || module.values().any(|found| found.parameters.contains_key(name))
    };
    let unexpected = tensors.keys().filter(|name| !is_expected(name));
    mismatches.extend(unexpected.map(|tensor| AdapterMismatch::Unexpected { tensor: tensor.clone() }));
    Ok(mismatches)
}
