//! Base models as Hugging Face folders: one safetensors file, or several with an index.

use crate::{
    CausalLm, ModelConfig, ModelError, Precision, TensorFile, TensorMismatch, WeightTypes,
    model::TensorSource,
    tensor_file::{write_atomically, write_tensors},
};
use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::{DType, Device, Tensor, TensorData},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// [`load_base_as`] in float32.
///
/// # Errors
/// Those of [`load_base_as`].
pub fn load_base(folder: &Path, device: &Device) -> Result<CausalLm, ModelError> {
    load_base_as(folder, Precision::Float32, device)
}

/// Loads a base model, frozen, from `config.json` and `model.safetensors` or
/// `model.safetensors.index.json` in `folder`. Tensor by tensor it is converted to these types, and linears are quantised
/// from the values in the file.
///
/// # Errors
/// The device cannot compute with these types; a file is missing, truncated or foreign; the config describes something that is not implemented; tensors are
/// missing, unexpected or misshaped, in which case all of them are listed.
pub fn load_base_as(folder: &Path, types: impl Into<WeightTypes>, device: &Device) -> Result<CausalLm, ModelError> {
    let types = types.into();
    types.check(device)?;
    let config = ModelConfig::from_folder(folder)?;
    let shards = Shards::open(folder)?;
    let mut source =
        CheckedSource { unread: shards.names(), shards, mismatch: Default::default(), error: None, types, device };
    let tied = config.tie_word_embeddings;
    let model = CausalLm::build(config, &mut source);
    if let Some(error) = source.error {
        return Err(error);
    }
    let ignorable = |name: &String| name.ends_with("rotary_emb.inv_freq") || (tied && name == "lm_head.weight");
    source.mismatch.unexpected.extend(source.unread.into_iter().filter(|name| !ignorable(name)));
    if !source.mismatch.is_empty() {
        return Err(ModelError::Mismatch { path: folder.to_owned(), what: "model", mismatch: source.mismatch });
    }
    types.check_loaded(&model)?;
    Ok(model)
}

/// Writes `config.json` and `model.safetensors`, in the type that the weights have, to `folder`, which is created.
///
/// # Errors
/// A file cannot be written.
pub fn save_base(model: &CausalLm, folder: &Path) -> Result<(), ModelError> {
    write_base(model, None, folder)
}

/// [`save_base`], with the weights rounded to `precision`.
///
/// # Errors
/// Those of [`save_base`].
pub fn save_base_as(model: &CausalLm, precision: Precision, folder: &Path) -> Result<(), ModelError> {
    write_base(model, Some(precision.dtype()), folder)
}

fn write_base(model: &CausalLm, dtype: Option<DType>, folder: &Path) -> Result<(), ModelError> {
    struct Tensors(Vec<String>, Vec<(String, TensorData)>);
    impl ModuleVisitor for Tensors {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !self.0.iter().any(|part| part == "adapter") {
                self.1.push((self.0.join("."), param.val().into_data()));
            }
        }
    }
    let mut tensors = Tensors(Vec::new(), Vec::new());
    model.visit(&mut tensors);
    if let Some(dtype) = dtype {
        for (_, data) in &mut tensors.1 {
            *data = data.clone().convert_dtype(dtype);
        }
    }
    fs::create_dir_all(folder).map_err(ModelError::io(folder))?;
    write_tensors(&folder.join("model.safetensors"), &tensors.1)?;
    let path = folder.join("config.json");
    let config = serde_json::to_string_pretty(&model.config().to_json(dtype.unwrap_or_else(|| model.dtype())))
        .map_err(ModelError::json(&path))?;
    write_atomically(&path, format!("{config}\n").as_bytes())
}

/// The weight files of one model.
struct Shards {
    files: Vec<TensorFile>,
    /// Tensor name to its file's place in `files`.
    index: BTreeMap<String, usize>,
}

impl Shards {
    fn open(folder: &Path) -> Result<Self, ModelError> {
        #[derive(Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, PathBuf>,
        }
        let single = folder.join("model.safetensors");
        if single.exists() {
            let file = TensorFile::open(&single)?;
            let index = file.names().into_iter().map(|name| (name, 0)).collect();
            return Ok(Self { files: vec![file], index });
        }
        let path = folder.join("model.safetensors.index.json");
        if !path.exists() {
            fs::read_dir(folder).map_err(ModelError::io(folder))?;
            return Err(ModelError::NoWeights { folder: folder.to_owned() });
        }
        let text = fs::read_to_string(&path).map_err(ModelError::io(&path))?;
        let weight_map = serde_json::from_str::<Index>(&text).map_err(ModelError::json(&path))?.weight_map;
        let names: BTreeSet<&PathBuf> = weight_map.values().collect();
        let places: HashMap<&PathBuf, usize> = names.iter().enumerate().map(|(i, name)| (*name, i)).collect();
        let index = weight_map.iter().map(|(tensor, file)| (tensor.clone(), places[file])).collect();
        let files = names.iter().map(|name| TensorFile::open(&folder.join(name))).collect::<Result<_, _>>()?;
        Ok(Self { files, index })
    }

    fn names(&self) -> BTreeSet<String> {
        self.index.keys().cloned().collect()
    }

    fn file_of(&self, name: &str) -> Option<&TensorFile> {
        self.index.get(name).map(|&place| &self.files[place])
    }
}

/// Hands out tensors and notes all that does not fit, so that one error can list everything.
struct CheckedSource<'a> {
    shards: Shards,
    unread: BTreeSet<String>,
    mismatch: TensorMismatch,
    error: Option<ModelError>,
    types: WeightTypes,
    device: &'a Device,
}

impl CheckedSource<'_> {
    /// The values of a tensor that is there and of this shape.
    fn read(&mut self, name: &str, shape: &[usize], dtype: DType) -> Option<TensorData> {
        self.unread.remove(name);
        let file = self.shards.file_of(name);
        match file.and_then(|file| file.shape(name)) {
            None => self.mismatch.missing.push(name.to_owned()),
            Some(found) if found != shape => {
                self.mismatch.misshaped.push((name.to_owned(), found.to_vec(), shape.to_vec()));
            }
            Some(_) => match file.map(|file| file.floats_as(name, dtype)) {
                Some(Ok(data)) => return Some(data),
                Some(Err(error)) => self.error = Some(error),
                None => {}
            },
        }
        None
    }

    /// A stand-in: the model is thrown away once the differences are collected.
    fn nothing<const D: usize>(&self) -> Tensor<D> {
        Tensor::zeros([1; D], self.device)
    }
}

impl TensorSource for CheckedSource<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<D> {
        let dtype = self.types.precision.dtype();
        match self.read(name, &shape, dtype) {
            Some(data) => Tensor::from_data(data, (self.device, dtype)),
            None => self.nothing(),
        }
    }

    fn linear(&mut self, name: &str, shape: [usize; 2]) -> Tensor<2> {
        let Some(quantization) = self.types.quantization else { return self.tensor(name, shape) };
        match self.read(name, &shape, DType::F32) {
            Some(data) => match quantization.apply(Tensor::from_data(data, (self.device, DType::F32))) {
                Some(weight) => weight,
                None => {
                    self.error = Some(ModelError::NotQuantizable { linear: name.to_owned(), width: shape[1] });
                    self.nothing()
                }
            },
            None => self.nothing(),
        }
    }
}
