//! The weight files of a model: a single file, or shards with an index.

use super::keys;
use crate::{ModelError, TensorFile, regular_file};
use burn::tensor::{DType, TensorData};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Component, Path, PathBuf},
};

/// File extensions of weights.
const OTHER_WEIGHTS: [&str; 9] = ["safetensors", "bin", "pt", "pth", "ckpt", "gguf", "h5", "msgpack", "onnx"];

/// The tensors of a model by their usual names.
pub(super) struct Shards {
    files: Vec<TensorFile>,
    /// The index into `files` and the name there, by usual name.
    index: BTreeMap<String, (usize, String)>,
}

impl Shards {
    /// Opens `model.safetensors`, or the files of `model.safetensors.index.json`.
    pub(super) fn open(folder: &Path) -> Result<Self, ModelError> {
        let single = folder.join("model.safetensors");
        if regular_file::exists(&single) {
            let file = TensorFile::open(&single)?;
            let names = file.names().into_iter().map(|name| (name, 0)).collect();
            return Self::new(&single, vec![file], names);
        }
        let path = folder.join("model.safetensors.index.json");
        if !regular_file::exists(&path) {
            return Err(ModelError::NoWeights { folder: folder.to_owned(), others: other_weights(folder)? });
        }
        let weight_map = read_index(&path)?;
        let names: BTreeSet<&PathBuf> = weight_map.values().collect();
        let places: HashMap<&PathBuf, usize> = names.iter().enumerate().map(|(i, name)| (*name, i)).collect();
        let index = weight_map.iter().map(|(tensor, file)| (tensor.clone(), places[file])).collect();
        let files = names.iter().map(|name| TensorFile::open(&folder.join(name))).collect::<Result<_, _>>()?;
        Self::new(&path, files, index)
    }

    fn new(path: &Path, files: Vec<TensorFile>, names: Vec<(String, usize)>) -> Result<Self, ModelError> {
        let mut index: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for (name, place) in names {
            if let Some((_, first)) = index.insert(keys::of_base(&name), (place, name.clone())) {
                return Err(ModelError::AmbiguousKeys { path: path.to_owned(), first, second: name });
            }
        }
        Ok(Self { files, index })
    }

    /// The usual names of all tensors.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.index.keys().cloned().collect()
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// Renames a tensor.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        if let Some(place) = self.index.remove(from) {
            self.index.insert(to.to_owned(), place);
        }
    }

    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.find(name).and_then(|(file, name)| file.shape(name))
    }

    pub(super) fn dtype(&self, name: &str) -> Option<safetensors::Dtype> {
        self.find(name).and_then(|(file, name)| file.dtype(name))
    }

    /// The values of a tensor; `None` if it does not exist.
    pub(super) fn weight(&self, name: &str, dtype: DType) -> Result<Option<TensorData>, ModelError> {
        self.find(name).map(|(file, name)| file.weight(name, dtype)).transpose()
    }

    /// Whether two tensors have the same values.
    pub(super) fn are_same(&self, one: &str, other: &str) -> Result<bool, ModelError> {
        let (Some((file, name)), Some(second)) = (self.find(one), self.find(other)) else { return Ok(false) };
        if self.dtype(one) == self.dtype(other) || self.shape(one) != self.shape(other) {
            return Ok(file.is_same(name, second));
        }
        Ok(self.weight(one, DType::F32)? == self.weight(other, DType::F32)?)
    }

    /// The number of layers: one more than the highest index.
    pub(super) fn layers(&self) -> usize {
        let layer = |name: &String| name.strip_prefix("model.layers.")?.split('.').next()?.parse::<usize>().ok();
        self.index.keys().filter_map(layer).max().map_or(0, |last| last.saturating_add(1))
    }

    fn find(&self, name: &str) -> Option<(&TensorFile, &str)> {
        self.index.get(name).map(|(place, own)| (&self.files[*place], own.as_str()))
    }
}

/// Reads the file of each tensor from an index. The files have to be in its folder.
fn read_index(path: &Path) -> Result<BTreeMap<String, PathBuf>, ModelError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, PathBuf>,
    }
    let text = regular_file::read_to_string(path)?;
    let weight_map = serde_json::from_str::<Index>(&text).map_err(ModelError::json(path))?.weight_map;
    let leads_out = |file: &&PathBuf| !file.components().all(|part| matches!(part, Component::Normal(_)));
    match weight_map.values().find(leads_out) {
        Some(file) => Err(ModelError::unsupported(path, "weight_map", file.display(), "names of files in its folder")),
        None => Ok(weight_map),
    }
}

/// The names of the files in `folder` that hold weights of any format.
pub(crate) fn other_weights(folder: &Path) -> Result<Vec<String>, ModelError> {
    let entries = fs::read_dir(folder).map_err(ModelError::io(folder))?;
    let names = entries.flatten().map(|entry| PathBuf::from(entry.file_name()));
    let holds_weights =
        |name: &PathBuf| OTHER_WEIGHTS.iter().any(|kind| name.extension().is_some_and(|it| it == *kind));
    let mut names: Vec<String> = names.filter(holds_weights).map(|name| name.display().to_string()).collect();
    names.sort();
    Ok(names)
}
