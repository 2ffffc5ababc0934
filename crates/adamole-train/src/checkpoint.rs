//! The state of a run in one file.

use crate::{AdamW, AdamWSettings, TrainError, TrainingState, optimizer::MomentsData};
use adamole_llama::{CausalLm, ChainOfLora, TensorFile, write_tensors};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorData},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// What a run needs to go on: the values of the adapters, those of the best epoch, the optimizer's moments and counts, the
/// links of a chain, and the [`TrainingState`].
///
/// The file is safetensors: `adapter/NAME`, `best/NAME`, `first/NAME`, `second/NAME`, `steps/NAME`,
/// `chain/INDEX/LINEAR.adapter.a` and `.b`, `progress` and `run` (JSON), and `sha256` over all of these.
#[derive(Debug)]
pub struct Checkpoint {
    /// Where the run was.
    pub progress: TrainingState,
    /// Which run it was, as [`Checkpoints::of_run`](crate::Checkpoints::of_run) said; `None` where it was not said, as in
    /// files of earlier versions.
    pub run: Option<Value>,
    tensors: BTreeMap<String, TensorData>,
    path: PathBuf,
}

/// The adapters of a model by their parameters' names.
pub(crate) type AdapterValues = BTreeMap<String, TensorData>;

impl Checkpoint {
    /// Gathers the state of a run; `best` are the adapters of its best epoch so far, none before the first validation.
    pub(crate) fn of(
        progress: &TrainingState,
        (model, best): (&CausalLm, &AdapterValues),
        optimizer: &AdamW,
        chain: &ChainOfLora,
    ) -> Self {
        let mut tensors = BTreeMap::new();
        for (name, data) in adapter_values(model) {
            tensors.insert(format!("adapter/{name}"), data);
        }
        for (name, data) in best {
            tensors.insert(format!("best/{name}"), data.clone());
        }
        for (name, MomentsData { first, second, steps }) in optimizer.moments(model) {
            let count = steps.len();
            let steps: Vec<i64> = steps.into_iter().map(i64::from).collect();
            tensors.insert(format!("first/{name}"), first);
            tensors.insert(format!("second/{name}"), second);
            tensors.insert(format!("steps/{name}"), TensorData::new(steps, [count]));
        }
        for (linear, index, a, b) in chain.links() {
            tensors.insert(format!("chain/{index}/{linear}.adapter.a"), a.to_data());
            tensors.insert(format!("chain/{index}/{linear}.adapter.b"), b.to_data());
        }
        Self { progress: progress.clone(), run: None, tensors, path: PathBuf::new() }
    }

    /// Writes the file, whole or not at all.
    pub(crate) fn write(mut self, path: &Path) -> Result<(), TrainError> {
        let json = serde_json::to_vec(&self.progress).map_err(|error| TrainError::io(path)(error.into()))?;
        let bytes = |bytes: Vec<u8>| {
            let length = bytes.len();
            TensorData::new(bytes, [length])
        };
        self.tensors.insert("progress".into(), bytes(json));
        if let Some(run) = &self.run {
            let json = serde_json::to_vec(run).map_err(|error| TrainError::io(path)(error.into()))?;
            self.tensors.insert("run".into(), bytes(json));
        }
        let digest = digest(&self.tensors);
        self.tensors.insert("sha256".into(), bytes(digest));
        let tensors: Vec<_> = self.tensors.into_iter().collect();
        Ok(write_tensors(path, &tensors)?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`TrainError::Model`] if it is no safetensors file, [`TrainError::DamagedCheckpoint`] if its content is not what
    /// was written.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let damaged = |what: &str| TrainError::DamagedCheckpoint { path: path.to_owned(), what: what.to_owned() };
        let mut tensors = contents(path)?;
        let expected = tensors.remove("sha256").ok_or_else(|| damaged("it has no sha256"))?;
        if expected.as_bytes() != digest(&tensors) {
            return Err(damaged("its sha256 is not that of its content"));
        }
        Self::of_contents(path, tensors)
    }

    /// Reads a file without a look at its digest and puts the state onto a model, for tests of what stands behind it.
    #[doc(hidden)]
    pub fn try_on(path: &Path, model: CausalLm) -> Result<(), TrainError> {
        let checkpoint = Self::of_contents(path, contents(path)?)?;
        checkpoint.best(&model)?;
        checkpoint.restore(model, 0, AdamWSettings::default()).map(drop)
    }

    fn of_contents(path: &Path, mut tensors: BTreeMap<String, TensorData>) -> Result<Self, TrainError> {
        let damaged = |what: &str| TrainError::DamagedCheckpoint { path: path.to_owned(), what: what.to_owned() };
        let progress = tensors.remove("progress").ok_or_else(|| damaged("it has no progress"))?;
        let progress = serde_json::from_slice(progress.as_bytes()).map_err(|error| damaged(&error.to_string()))?;
        let run = tensors.remove("run").map(|run| serde_json::from_slice(run.as_bytes()));
        let run = run.transpose().map_err(|error| damaged(&error.to_string()))?;
        Ok(Self { progress, run, tensors, path: path.to_owned() })
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `model`, the one that the run began with, with the adapters of the best epoch so far; `None` where the file holds
    /// none: before the first validation, and in files of earlier versions.
    ///
    /// # Errors
    /// They do not fit the model.
    pub fn best(&self, model: &CausalLm) -> Result<Option<CausalLm>, TrainError> {
        let best = self.tensors.iter().filter_map(|(name, data)| Some((name.strip_prefix("best/")?, data)));
        let best: AdapterValues = best.map(|(name, data)| (name.to_owned(), data.clone())).collect();
        if best.is_empty() {
            return Ok(None);
        }
        // Of a chain it is one adapter as wide as its links together.
        let own: BTreeMap<String, TensorData> = adapter_values(model).into_iter().collect();
        let rows = |data: &TensorData| data.shape().first().copied().unwrap_or(0).max(1);
        let wider = best.iter().filter(|(name, _)| name.ends_with(".adapter.a"));
        let links = wider.filter_map(|(name, data)| Some(rows(data) / rows(own.get(name)?))).max().unwrap_or(1);
        let mut model = model.clone();
        if links > 1 {
            let layout = ChainOfLora::whole_layout(&model.layout(), links);
            model.adapt(&layout, 0);
        }
        let unfit = |what: String| TrainError::DamagedCheckpoint { path: self.path.clone(), what };
        with_adapters(model, best).map(Some).map_err(unfit)
    }

    /// Puts the state back: `model` is the one that the run began with.
    pub(crate) fn restore(self, model: CausalLm, seed: u64, settings: AdamWSettings) -> Result<Restored, TrainError> {
        let Self { progress, mut tensors, path, .. } = self;
        let unfit = |what: String| TrainError::DamagedCheckpoint { path: path.clone(), what };
        let mut part = |prefix: &str| -> BTreeMap<String, TensorData> {
            let names: Vec<String> = tensors.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
            let take = |name: String| Some((name[prefix.len()..].to_owned(), tensors.remove(&name)?));
            names.into_iter().filter_map(take).collect()
        };
        let mut chain = ChainOfLora::new(&model);
        let mut model = model;
        for index in 0.. {
            let link = part(&format!("chain/{index}/"));
            if link.is_empty() {
                break;
            }
            model = chain.link(with_adapters(model, link).map_err(&unfit)?, seed)?;
        }
        let model = with_adapters(model, part("adapter/")).map_err(&unfit)?;
        let (mut first, mut second, steps) = (part("first/"), part("second/"), part("steps/"));
        let mut moments = BTreeMap::new();
        for (name, steps) in steps {
            let steps = steps.as_slice::<i64>().map_err(|_| unfit(format!("steps/{name} holds no integers")))?;
            let steps = steps.iter().map(|step| u32::try_from(*step).unwrap_or(u32::MAX)).collect();
            let (Some(first), Some(second)) = (first.remove(&name), second.remove(&name)) else {
                return Err(unfit(format!("the moments of {name} are missing")));
            };
            moments.insert(name, MomentsData { first, second, steps });
        }
        let optimizer = AdamW::resume(settings, &model, moments, progress.step.saturating_sub(progress.link_start))
            .map_err(unfit)?;
        Ok(Restored { progress, model, optimizer, chain, best: part("best/") })
    }
}

/// The state of a run, ready to go on.
pub(crate) struct Restored {
    pub(crate) progress: TrainingState,
    pub(crate) model: CausalLm,
    pub(crate) optimizer: AdamW,
    pub(crate) chain: ChainOfLora,
    pub(crate) best: AdapterValues,
}

/// The tensors of a file; texts and the digest as bytes.
fn contents(path: &Path) -> Result<BTreeMap<String, TensorData>, TrainError> {
    let file = TensorFile::open(path)?;
    let mut tensors = BTreeMap::new();
    for name in file.names() {
        let data = match name.split('/').next() {
            Some("progress" | "run" | "sha256") => {
                let bytes: Vec<u8> = file.integers(&name)?.0.into_iter().map(|byte| byte as u8).collect();
                let length = bytes.len();
                TensorData::new(bytes, [length])
            }
            Some("steps") => {
                let (steps, shape) = file.integers(&name)?;
                TensorData::new(steps, shape)
            }
            _ => file.floats(&name)?,
        };
        tensors.insert(name, data);
    }
    Ok(tensors)
}

/// A hash of names and values.
fn digest(tensors: &BTreeMap<String, TensorData>) -> Vec<u8> {
    let mut hash = Sha256::new();
    for (name, data) in tensors {
        hash.update(format!("{name} {:?} {:?}\n", data.dtype(), data.shape()));
        hash.update(data.as_bytes());
    }
    hash.finalize().to_vec()
}

/// Name and value of every parameter of an adapter.
pub(crate) fn adapter_values(model: &CausalLm) -> Vec<(String, TensorData)> {
    struct Values(Vec<String>, Vec<(String, TensorData)>);
    impl ModuleVisitor for Values {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.0.iter().any(|part| part == "adapter") {
                self.1.push((self.0.join("."), param.val().into_data()));
            }
        }
    }
    let mut values = Values(Vec::new(), Vec::new());
    model.visit(&mut values);
    values.1
}

/// The model with these values in its adapters; what does not fit is named.
fn with_adapters(model: CausalLm, values: BTreeMap<String, TensorData>) -> Result<CausalLm, String> {
    struct Place {
        path: Vec<String>,
        values: BTreeMap<String, TensorData>,
        unfit: Vec<String>,
    }
    impl ModuleMapper for Place {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !self.path.iter().any(|part| part == "adapter") {
                return param;
            }
            let name = self.path.join(".");
            let value = self.values.remove(&name).filter(|value| value.shape().to_vec() == param.shape().to_vec());
            let Some(value) = value else {
                self.unfit.push(name);
                return param;
            };
            param.map(|old| {
                let device = old.device();
                match device.is_autodiff() {
                    true => Tensor::from_inner(Tensor::from_data(value, &device.inner())).require_grad(),
                    false => Tensor::from_data(value, &device),
                }
            })
        }
    }
    let mut place = Place { path: Vec::new(), values, unfit: Vec::new() };
    let model = model.map(&mut place);
    place.unfit.extend(place.values.into_keys());
    match place.unfit.as_slice() {
        [] => Ok(model),
        unfit => Err(format!("these parameters do not fit the model: {}", unfit.join(", "))),
    }
}
