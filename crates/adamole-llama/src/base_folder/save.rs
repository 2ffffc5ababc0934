//! Models written as Hugging Face folders.

use crate::{
    CausalLm, ModelError, ParameterKind, Precision,
    convert::check_finite,
    export, regular_file,
    tensor_file::{write_atomically, write_tensors},
};
use burn::tensor::{DType, TensorData};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Writes `config.json` and `model.safetensors`, in the type that the weights have, to `folder`, which is created.
///
/// # Errors
/// A weight is not finite, or a file cannot be written.
pub fn save_base(model: &CausalLm, folder: &Path) -> Result<(), ModelError> {
    write_base(model, None, folder)
}

/// [`save_base`], with the weights rounded to `precision`.
///
/// # Errors
/// Those of [`save_base`]; a weight beyond the range of `precision` is not finite in it.
pub fn save_base_as(model: &CausalLm, precision: Precision, folder: &Path) -> Result<(), ModelError> {
    write_base(model, Some(precision.dtype()), folder)
}

/// [`save_base`] for a model that was read from the folder `base` and whose weights have changed since: everything else
/// of `base` is kept. `config.json` is the one of `base`, where only the type of the weights is another one if it is;
/// files that hold no weights are copied as they are. Returns what was left out because it is a link to a folder or to a
/// place outside of `base`.
///
/// # Errors
/// Those of [`save_base`], and a file of `base` cannot be read.
pub fn save_merged(model: &CausalLm, base: &Path, folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let tensors = weights(model, None);
    check(&tensors, folder)?;
    let (companions, left_out) = export::companions(base)?;
    let path = base.join("config.json");
    let config = regular_file::read_to_string(&path)?;
    let config = export::config_as(config, model.dtype()).map_err(ModelError::json(&path))?;
    fs::create_dir_all(folder).map_err(ModelError::io(folder))?;
    write_tensors(&folder.join("model.safetensors"), &tensors)?;
    export::copy(base, &companions, folder)?;
    write_atomically(&folder.join("config.json"), config.as_bytes())?;
    Ok(left_out)
}

fn write_base(model: &CausalLm, dtype: Option<DType>, folder: &Path) -> Result<(), ModelError> {
    let tensors = weights(model, dtype);
    check(&tensors, folder)?;
    fs::create_dir_all(folder).map_err(ModelError::io(folder))?;
    write_tensors(&folder.join("model.safetensors"), &tensors)?;
    let path = folder.join("config.json");
    let config = serde_json::to_string_pretty(&model.config().to_json(dtype.unwrap_or_else(|| model.dtype())))
        .map_err(ModelError::json(&path))?;
    write_atomically(&path, format!("{config}\n").as_bytes())
}

/// The base's weights by their names in checkpoints.
fn weights(model: &CausalLm, dtype: Option<DType>) -> Vec<(String, TensorData)> {
    let mut weights = model.parameter_values(ParameterKind::Base);
    if let Some(dtype) = dtype {
        for (_, data) in &mut weights {
            *data = data.clone().convert_dtype(dtype);
        }
    }
    weights
}

/// That every weight is finite, before anything is written.
fn check(tensors: &[(String, TensorData)], folder: &Path) -> Result<(), ModelError> {
    let path = folder.join("model.safetensors");
    tensors.iter().try_for_each(|(name, data)| check_finite(data).map_err(|bad| bad.in_tensor(&path, name)))
}
