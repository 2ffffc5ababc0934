//! Keys of adapter files: the tensors that the parameters of an adapter are stored as, and the spellings of their keys.

use crate::{ModelError, base_folder::keys, moe_peft_keys::respelled};
use adamole_core::{Adapter, AdapterConfig, ParameterSpec, ParameterValue};
use burn::{
    optim::GradientsParams,
    tensor::{Tensor, TensorData},
};
use std::{collections::BTreeMap, path::Path};

/// The values of an adapter by their keys in files, relative to the linear: `lora_A.0.weight` `[r, d_in]`,
/// `lora_B.0.weight` `[d_out, r]`, `lora_gating.weight`, `lora_threshold.weight`, `lora_threshold.bias`. A plain LoRA has
/// `lora_A.weight` and `lora_B.weight`.
pub fn adapter_tensors(adapter: &Adapter) -> Vec<(String, TensorData)> {
    let parts = adapter.parameters().flat_map(|(spec, value)| match value {
        ParameterValue::Vector(param) => split(spec, param.val()),
        ParameterValue::Matrix(param) => split(spec, param.val()),
    });
    parts.collect()
}

/// The gradients of an adapter, by the keys of [`adapter_tensors`]. Parameters without a gradient are left out.
pub fn adapter_gradients(adapter: &Adapter, gradients: &GradientsParams) -> Vec<(String, TensorData)> {
    let parts = adapter.parameters().flat_map(|(spec, value)| match value {
        ParameterValue::Vector(param) => gradients.get::<1>(param.id).map(|gradient| split(spec, gradient)),
        ParameterValue::Matrix(param) => gradients.get::<2>(param.id).map(|gradient| split(spec, gradient)),
    });
    parts.flatten().collect()
}

/// The keys of [`adapter_tensors`] and their shapes, for an adapter on a linear `[d_out, d_in]`.
pub(crate) fn shapes(config: &AdapterConfig, [d_out, d_in]: [usize; 2]) -> Vec<(String, Vec<usize>)> {
    config.parameters(d_in, d_out).iter().flat_map(ParameterSpec::keys).collect()
}

/// Replaces the values of an adapter by those that `lookup` finds by their keys. The shapes have been checked.
pub(crate) fn join<E>(adapter: &mut Adapter, mut lookup: impl FnMut(&str) -> Result<TensorData, E>) -> Result<(), E> {
    let specs: Vec<ParameterSpec> = adapter.parameters().map(|(spec, _)| spec.clone()).collect();
    let device = adapter.a().device();
    for spec in specs {
        let mut parts = spec.keys().into_iter().map(|(key, _)| lookup(&key)).collect::<Result<Vec<_>, E>>()?;
        let values = match spec.experts {
            None => parts.remove(0),
            Some((_, dim)) => {
                let parts = parts.into_iter().map(|part| Tensor::<2>::from_data(part, &device));
                Tensor::cat(parts.collect(), dim).into_data()
            }
        };
        adapter.set(spec.name, values);
    }
    Ok(())
}

fn split<const D: usize>(spec: &ParameterSpec, tensor: Tensor<D>) -> Vec<(String, TensorData)> {
    let parts = match spec.experts {
        None => vec![tensor],
        Some((experts, dim)) => tensor.chunk(experts, dim),
    };
    spec.keys().into_iter().zip(parts).map(|((key, _), part)| (key, part.into_data())).collect()
}

/// The keys of an adapter file by their usual names: the name of the linear and the key of [`adapter_tensors`],
/// `model.layers.0.self_attn.q_proj.lora_A.weight`.
#[derive(Debug)]
pub(crate) struct AdapterNames(BTreeMap<String, String>);

impl AdapterNames {
    /// Indexes the keys of a file. `has_experts` says whether experts are numbered, or it is a plain LoRA.
    ///
    /// # Errors
    /// Two keys name the same tensor, as in a file with several adapters.
    pub(crate) fn new(path: &Path, own: Vec<String>, has_experts: bool) -> Result<Self, ModelError> {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for (respelled, key) in respelled(&own).into_iter().zip(own) {
            if let Some(first) = names.insert(usual(&respelled, has_experts), key.clone()) {
                return Err(ModelError::AmbiguousKeys { path: path.to_owned(), first, second: key });
            }
        }
        Ok(Self(names))
    }

    /// The key of a name in the file.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Every name and its key in the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, key)| (name.as_str(), key.as_str()))
    }

    /// The number of keys.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The usual name of a key. Prefixes of PEFT (`base_model.model.`) and of wrappers are removed, and so is the name of the
/// adapter, as in `lora_A.default.weight`.
fn usual(key: &str, has_experts: bool) -> String {
    let parts = keys::unwrapped(key);
    let parts = parts.strip_prefix(&["base_model", "model"]).unwrap_or(&parts);
    let Some(at) = parts.iter().position(|part| part.starts_with("lora_")) else {
        return keys::of_base(&parts.join("."));
    };
    let (linear, tensor) = parts.split_at(at);
    let tensor = match *tensor {
        // The number of the expert follows the name of the adapter.
        [kind, .., number, end] if has_experts && is_number(number) => [kind, number, end].join("."),
        [kind, .., end] => [kind, end].join("."),
        _ => tensor.join("."),
    };
    format!("{}.{tensor}", keys::of_base(&linear.join(".")))
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "model.layers.0.self_attn.q_proj.lora_A.weight";

    #[test]
    fn all_spellings_of_a_key_have_one_name() {
        for key in [
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.my.task.weight",
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.0.weight",
            "_orig_mod.base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
            "base_model.model._orig_mod.model.layers.0.self_attn.q_proj.lora_A.weight",
            "module.base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight",
            "base_model.model.module.model.layers.0.self_attn.q_proj.lora_A.weight",
            "base_model.model.layers.0.self_attn.q_proj.lora_A.weight",
            NAME,
            "layers.0.self_attn.q_proj.lora_A.weight",
        ] {
            assert_eq!(usual(key, false), NAME, "{key}");
        }
    }

    #[test]
    fn experts_keep_their_numbers() {
        for key in ["x.lora_B.3.weight", "x.lora_B.default.3.weight", "base_model.model.x.lora_B.3.weight"] {
            assert_eq!(usual(key, true), "x.lora_B.3.weight", "{key}");
        }
        assert_eq!(usual("x.lora_gating.default.weight", true), "x.lora_gating.weight");
        assert_eq!(usual("x.lora_threshold.bias", true), "x.lora_threshold.bias");
    }

    #[test]
    fn several_adapters_in_one_file_are_ambiguous() {
        let names = ["x.lora_A.one.weight", "x.lora_A.two.weight"].map(str::to_owned).to_vec();
        let error = AdapterNames::new(Path::new("file"), names, false).unwrap_err().to_string();
        assert!(error.contains("lora_A.one") && error.contains("lora_A.two"), "{error}");
    }
}
