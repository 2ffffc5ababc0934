//! The files of a model folder beside its weights, which an export copies unchanged.

use crate::{ModelError, regular_file};
use burn::tensor::DType;
use serde::{Deserialize, de::IgnoredAny};
use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

/// Name endings of weight files of any format, of their indices, and of unfinished files.
const WEIGHTS: [&str; 22] = [
    ".safetensors",
    ".index.json",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".pkl",
    ".h5",
    ".msgpack",
    ".onnx",
    ".onnx_data",
    ".gguf",
    ".ggml",
    ".npz",
    ".npy",
    ".tflite",
    ".ot",
    ".mlmodel",
    ".nemo",
    ".pdparams",
    ".partial",
    ".incomplete",
];

/// The config files of weights, which an export does not copy.
const OF_WEIGHTS: [&str; 2] = ["config.json", "adapter_config.json"];

/// The limit of nested folders.
const DEEPEST: usize = 8;

/// The relative paths of the files of a model folder, without weights and `config.json`; and those of the links to folders
/// or out of the model folder, which may lead to anything. Links into the `blobs` of a hub cache belong to the model.
pub(crate) fn companions(base: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), ModelError> {
    let roots = roots(base)?;
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let folder = base.join(&inner);
        for entry in fs::read_dir(&folder).map_err(ModelError::io(&folder))?.flatten() {
            let (name, path) = (inner.join(entry.file_name()), entry.path());
            let text = entry.file_name().to_string_lossy().into_owned();
            let Ok(kind) = entry.file_type() else { continue };
            let is_top = inner.as_os_str().is_empty();
            if kind.is_dir() {
                if !text.starts_with('.') && name.components().count() < DEEPEST {
                    folders.push(name);
                }
            } else if WEIGHTS.iter().any(|end| text.ends_with(end)) || (is_top && OF_WEIGHTS.contains(&text.as_str())) {
                continue;
            } else if kind.is_file() {
                found.push(name);
            } else if kind.is_symlink() && path.exists() {
                let target = path.canonicalize().map_err(ModelError::io(&path))?;
                let is_inside = target.is_file() && roots.iter().any(|root| target.starts_with(root));
                if is_inside { found.push(name) } else { left_out.push(name) }
            }
        }
    }
    found.sort();
    left_out.sort();
    Ok((found, left_out))
}

/// The folders with the files of a model: its own, and the blobs of the repository for a snapshot of a hub cache.
fn roots(base: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let base = base.canonicalize().map_err(ModelError::io(base))?;
    let repository = base.parent().filter(|snapshots| snapshots.ends_with("snapshots")).and_then(Path::parent);
    let blobs = repository.map(|repository| repository.join("blobs"));
    Ok(blobs.into_iter().chain([base]).collect())
}

/// Copies `files` of `base` to `folder`.
pub(crate) fn copy(base: &Path, files: &[PathBuf], folder: &Path) -> Result<(), ModelError> {
    for file in files {
        let (source, target) = (base.join(file), folder.join(file));
        if let Some(inner) = target.parent() {
            fs::create_dir_all(inner).map_err(ModelError::io(inner))?;
        }
        regular_file::check(&source)?;
        fs::copy(&source, &target).map_err(ModelError::io(&target))?;
    }
    Ok(())
}

/// The text of a `config.json`, with the type of the weights replaced if it differs.
///
/// # Errors
/// The text is not JSON.
pub(crate) fn config_as(mut text: String, weights: DType) -> serde_json::Result<String> {
    for field in ["dtype", "torch_dtype"] {
        let span = value_of(&text, field)?;
        let named = span.clone().and_then(|span| serde_json::from_str::<String>(&text[span]).ok());
        if let (Some(span), Some(named)) = (span, named)
            && named.trim_start_matches("torch.") != name(weights)
        {
            text.replace_range(span, &format!("\"{}\"", name(weights)));
        }
    }
    Ok(text)
}

/// The name of a type of weights in `config.json`.
pub(crate) fn name(weights: DType) -> &'static str {
    match weights {
        DType::BF16 => "bfloat16",
        DType::F16 => "float16",
        _ => "float32",
    }
}

/// The span of the value of a field of the outermost object in the text.
fn value_of(text: &str, field: &str) -> serde_json::Result<Option<Range<usize>>> {
    // Only whitespace precedes the first brace.
    let mut at = text.find('{').map_or(text.len(), |brace| brace + 1);
    loop {
        at += skipped(&text[at..], &[',']);
        if !text[at..].starts_with('"') {
            return Ok(None);
        }
        let (key, length) = next::<String>(&text[at..])?;
        at += length;
        at += skipped(&text[at..], &[':']);
        let (_, length) = next::<IgnoredAny>(&text[at..])?;
        if key == field {
            return Ok(Some(at..at + length));
        }
        at += length;
    }
}

/// The length of the leading whitespace and `signs` of `text`.
fn skipped(text: &str, signs: &[char]) -> usize {
    text.len() - text.trim_start_matches(|c: char| c.is_ascii_whitespace() || signs.contains(&c)).len()
}

/// The leading JSON value of `text`, and its length.
fn next<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<(T, usize)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<T>();
    let value = values.next().unwrap_or_else(|| serde_json::from_str(""))?;
    Ok((value, values.byte_offset()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn edited(config: &str) -> String {
        config_as(config.to_owned(), DType::F32).unwrap()
    }

    #[test]
    fn only_the_type_of_the_weights_is_replaced() {
        let config = "{ \"b\": {\"dtype\": \"float16\"},\t\"torch_dtype\" : \"bfloat16\",\n\"a\": [1.0, \"}\"]}\n";
        assert_eq!(edited(config), config.replace("bfloat16", "float32"));
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            r#"["{},:\[\]a-z \\]{0,6}|dtype|torch_dtype"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(r#"["{},:a-z]{0,5}|dtype"#, inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_other_fields_are_kept(
            fields in prop::collection::btree_map(r#"["{},:a-z]{0,8}"#, any_value(), 0..6),
            dtype in prop::option::of("bfloat16|float16|float32"),
            is_pretty in any::<bool>(),
        ) {
            let mut config: Map<String, Value> = fields.into_iter().collect();
            config.remove("dtype");
            config.extend(dtype.map(|dtype| ("dtype".to_owned(), Value::from(dtype))));
            let text = if is_pretty { serde_json::to_string_pretty(&config) } else { serde_json::to_string(&config) };
            let read: Map<String, Value> = serde_json::from_str(&edited(&text.unwrap())).unwrap();
            if let Some(dtype) = config.get_mut("dtype") {
                *dtype = "float32".into();
            }
            prop_assert_eq!(read, config);
        }
    }

    #[test]
    fn a_config_with_the_same_type_or_none_is_unchanged() {
        for config in [
            "{\"dtype\":\"float32\",\"eos_token_id\":[1,2]}",
            "{\"torch_dtype\":\"torch.float32\"}",
            "{\"torch_dtype\":null , \"x\":1}",
            "{\"x\":\"torch_dtype\"}",
            "{}",
        ] {
            assert_eq!(edited(config), config);
        }
    }
}
