//! Keys of adapter files, in the spellings that programs give them.

use crate::{ModelError, base_folder::keys};
use std::{collections::BTreeMap, path::Path};

/// The keys of an adapter file by the names that they stand for: the linear's name in checkpoints and the tensor's
/// published key, `model.layers.0.self_attn.q_proj.lora_A.weight`.
#[derive(Debug)]
pub(crate) struct AdapterNames(BTreeMap<String, String>);

impl AdapterNames {
    /// Of a file with these keys, of a plain LoRA or of one with numbered experts.
    ///
    /// # Errors
    /// Two keys stand for one tensor, which is so, too, where the file holds several adapters.
    pub(crate) fn new(path: &Path, own: Vec<String>, has_experts: bool) -> Result<Self, ModelError> {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for key in own {
            if let Some(first) = names.insert(usual(&key, has_experts), key.clone()) {
                return Err(ModelError::AmbiguousKeys { path: path.to_owned(), first, second: key });
            }
        }
        Ok(Self(names))
    }

    /// The key in the file.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Every name with its key in the file.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, key)| (name.as_str(), key.as_str()))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The name that a key stands for. Before the linear's name may stand `base_model.model.`, or nothing, and what wrappers
/// put there; between `lora_A` and `weight` the name that the adapter had in memory, as in `lora_A.default.weight`.
fn usual(key: &str, has_experts: bool) -> String {
    let parts = keys::unwrapped(key);
    let parts = parts.strip_prefix(&["base_model", "model"]).unwrap_or(&parts);
    let Some(at) = parts.iter().position(|part| part.starts_with("lora_")) else {
        return keys::of_base(&parts.join("."));
    };
    let (linear, tensor) = parts.split_at(at);
    let tensor = match *tensor {
        // An expert's number is the last of what stands between.
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
    fn all_spellings_stand_for_one_name() {
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
