//! Checkpoints: the state of a run in a file, and the folder of the newest ones.

use crate::{
    AdamW, AdamWSettings, CheckpointDamage, TrainError, TrainingState, adapter_values::AdapterValues,
    optimizer::MomentsData,
};
use adamole_llama::{CausalLm, ChainOfLora, TensorFile, write_tensors};
use burn::tensor::TensorData;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

/// A folder with the newest checkpoints of a run, `step-00000200.safetensors` and so on.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    run: Option<Value>,
    every: usize,
    keep: usize,
}

impl Checkpoints {
    /// The checkpoints in `folder`, which is created when the first is written: one after so many steps and after every
    /// validation, of which the newest `keep` stay, at least 1.
    pub fn new(folder: PathBuf, every: usize, keep: usize) -> Self {
        Self { folder, run: None, every: every.max(1), keep: keep.max(1) }
    }

    /// Records in every checkpoint which run it is of: whatever tells this run from another one. To be compared with
    /// [`Checkpoint::run`] before a run is continued.
    pub fn of_run(self, run: Value) -> Self {
        Self { run: Some(run), ..self }
    }

    /// The newest checkpoint that is whole. `skip` gets those that are not.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn newest(&self, mut skip: impl FnMut(&Path, TrainError)) -> Result<Option<Checkpoint>, TrainError> {
        for path in self.files()?.into_iter().rev() {
            match Checkpoint::read(&path) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error) => skip(&path, error),
            }
        }
        Ok(None)
    }

    /// Whether there is one after so many steps.
    pub(crate) fn is_due(&self, step: usize) -> bool {
        step.is_multiple_of(self.every)
    }

    /// Writes one and removes those that are no longer kept.
    pub(crate) fn save(&self, mut checkpoint: Checkpoint) -> Result<(), TrainError> {
        fs::create_dir_all(&self.folder).map_err(TrainError::io(&self.folder))?;
        let name = format!("step-{:08}.safetensors", checkpoint.state.step);
        checkpoint.run = self.run.clone();
        checkpoint.write(&self.folder.join(name))?;
        let files = self.files()?;
        for old in &files[..files.len().saturating_sub(self.keep)] {
            fs::remove_file(old).map_err(TrainError::io(old))?;
        }
        Ok(())
    }

    /// [`Self::save`] on a thread of its own.
    pub(crate) fn save_beside(&self, checkpoint: Checkpoint) -> Result<JoinHandle<Result<(), TrainError>>, TrainError> {
        let checkpoints = self.clone();
        let thread = thread::Builder::new().name("checkpoint".into());
        thread.spawn(move || checkpoints.save(checkpoint)).map_err(TrainError::io(&self.folder))
    }

    /// Oldest first: the names sort as the steps do.
    fn files(&self) -> Result<Vec<PathBuf>, TrainError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(TrainError::io(&self.folder))?,
        };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
        files.sort();
        Ok(files)
    }
}

/// All that the rest of a run depends on, but for base and recipe: the values of the adapters, those of the best epoch, the
/// optimizer's moments and counts, the ended stages of a chain of LoRAs, and the [`TrainingState`].
///
/// The file is safetensors: `adapter/NAME`, `best/NAME`, `first/NAME`, `second/NAME`, `steps/NAME`,
/// `chain/INDEX/LINEAR.adapter.a` and `.b`, `progress` (the state) and `run` (JSON), and `sha256` over all of these.
#[derive(Debug)]
pub struct Checkpoint {
    /// The training state.
    pub state: TrainingState,
    /// Which run it is of, as [`Checkpoints::of_run`] said; `None` in files of earlier versions.
    pub run: Option<Value>,
    tensors: BTreeMap<String, TensorData>,
    path: PathBuf,
}

impl Checkpoint {
    /// Gathers the state of a run; `best` are the adapters of its best epoch so far, none before the first validation.
    pub(crate) fn of(
        state: &TrainingState,
        (model, best): (&CausalLm, &AdapterValues),
        optimizer: &AdamW,
        chain: &ChainOfLora,
    ) -> Self {
        let mut tensors = BTreeMap::new();
        let mut insert = |part: &str, name: &str, data| tensors.insert(format!("{part}/{name}"), data);
        for (name, data) in AdapterValues::of(model).0 {
            insert("adapter", &name, data);
        }
        for (name, data) in &best.0 {
            insert("best", name, data.clone());
        }
        for (name, MomentsData { first, second, steps }) in optimizer.moments(model) {
            let count = steps.len();
            let steps: Vec<i64> = steps.into_iter().map(i64::from).collect();
            insert("first", &name, first);
            insert("second", &name, second);
            insert("steps", &name, TensorData::new(steps, [count]));
        }
        for (linear, index, a, b) in chain.links() {
            insert("chain", &format!("{index}/{linear}.adapter.a"), a.to_data());
            insert("chain", &format!("{index}/{linear}.adapter.b"), b.to_data());
        }
        Self { state: state.clone(), run: None, tensors, path: PathBuf::new() }
    }

    /// Writes the file, whole or not at all.
    fn write(mut self, path: &Path) -> Result<(), TrainError> {
        let json = |error: serde_json::Error| TrainError::io(path)(error.into());
        let state = serde_json::to_vec(&self.state).map_err(json)?;
        let run = self.run.as_ref().map(serde_json::to_vec).transpose().map_err(json)?;
        self.tensors.insert("progress".into(), bytes(state));
        self.tensors.extend(run.map(|run| ("run".into(), bytes(run))));
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
        let mut tensors = contents(path)?;
        let damage = match tensors.remove("sha256") {
            Some(written) if written.as_bytes() == digest(&tensors) => return Self::of_contents(path, tensors),
            Some(_) => CheckpointDamage::WrongDigest,
            None => CheckpointDamage::Missing("sha256".into()),
        };
        Err(damage.of(path))
    }

    /// Reads a file whatever its digest is and puts the state into a model, for tests of what stands behind it.
    #[doc(hidden)]
    pub fn try_on(path: &Path, model: CausalLm) -> Result<(), TrainError> {
        let checkpoint = Self::of_contents(path, contents(path)?)?;
        checkpoint.best(&model)?;
        checkpoint.restore(model, 0, AdamWSettings::default()).map(drop)
    }

    fn of_contents(path: &Path, mut tensors: BTreeMap<String, TensorData>) -> Result<Self, TrainError> {
        let json = |error| CheckpointDamage::Json(error).of(path);
        let missing = || CheckpointDamage::Missing("progress".into()).of(path);
        let state = tensors.remove("progress").ok_or_else(missing)?;
        let state = serde_json::from_slice(state.as_bytes()).map_err(json)?;
        let run = tensors.remove("run").map(|run| serde_json::from_slice(run.as_bytes())).transpose().map_err(json)?;
        Ok(Self { state, run, tensors, path: path.to_owned() })
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
        let best = AdapterValues(best.map(|(name, data)| (name.to_owned(), data.clone())).collect());
        let place = |best: AdapterValues| best.placed_in_first(model.clone());
        (!best.0.is_empty()).then(|| place(best)).transpose().map_err(|damage| damage.of(&self.path))
    }

    /// Whether the adapters of the best epoch are missing, as in files of earlier versions. [`Self::set_best`] adds them.
    pub fn lacks_best(&self) -> bool {
        self.state.best.is_some() && !self.tensors.keys().any(|name| name.starts_with("best/"))
    }

    /// Adds the adapters of the best epoch, those of `model`.
    pub fn set_best(&mut self, model: &CausalLm) {
        let best = AdapterValues::of(model).0.into_iter();
        self.tensors.extend(best.map(|(name, data)| (format!("best/{name}"), data)));
    }

    /// Puts the state back: `model` is the one that the run began with.
    pub(crate) fn restore(self, model: CausalLm, seed: u64, settings: AdamWSettings) -> Result<Restored, TrainError> {
        let Self { state, mut tensors, path, .. } = self;
        let mut part = |prefix: &str| -> BTreeMap<String, TensorData> {
            let names: Vec<String> = tensors.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
            let take = |name: String| Some((name[prefix.len()..].to_owned(), tensors.remove(&name)?));
            names.into_iter().filter_map(take).collect()
        };
        let place = |values, model| AdapterValues(values).placed_in(model).map_err(|damage| damage.of(&path));
        let best = AdapterValues(part("best/"));
        if state.best.is_some() && best.0.is_empty() {
            return Err(CheckpointDamage::Missing("adapter of the best epoch".into()).of(&path));
        }
        let mut chain = ChainOfLora::new(&model);
        let mut model = model;
        for index in 0.. {
            let stage = part(&format!("chain/{index}/"));
            if stage.is_empty() {
                break;
            }
            model = chain.link(place(stage, model)?, seed)?;
        }
        let model = place(part("adapter/"), model)?;
        let moments = moments(part("first/"), part("second/"), part("steps/")).map_err(|damage| damage.of(&path))?;
        let optimizer = AdamW::resume(settings, &model, moments).map_err(|damage| damage.of(&path))?;
        Ok(Restored { state, model, optimizer, chain, best })
    }
}

/// The state of a run, put back.
pub(crate) struct Restored {
    pub(crate) state: TrainingState,
    pub(crate) model: CausalLm,
    pub(crate) optimizer: AdamW,
    pub(crate) chain: ChainOfLora,
    pub(crate) best: AdapterValues,
}

/// The optimizer's moments from the parts of a file, by the names of the parameters.
fn moments(
    mut first: BTreeMap<String, TensorData>,
    mut second: BTreeMap<String, TensorData>,
    steps: BTreeMap<String, TensorData>,
) -> Result<BTreeMap<String, MomentsData>, CheckpointDamage> {
    let moments = steps.into_iter().map(|(name, steps)| {
        let Ok(steps) = steps.as_slice::<i64>() else {
            return Err(CheckpointDamage::Unfit(vec![format!("steps/{name}")]));
        };
        let steps = steps.iter().map(|step| u32::try_from(*step).unwrap_or(u32::MAX)).collect();
        match (first.remove(&name), second.remove(&name)) {
            (Some(first), Some(second)) => Ok((name, MomentsData { first, second, steps })),
            _ => Err(CheckpointDamage::Missing(format!("moments of {name}"))),
        }
    });
    moments.collect()
}

/// Bytes as a tensor.
fn bytes(bytes: Vec<u8>) -> TensorData {
    let length = bytes.len();
    TensorData::new(bytes, [length])
}

/// The tensors of a file; texts and the digest as bytes.
fn contents(path: &Path) -> Result<BTreeMap<String, TensorData>, TrainError> {
    let file = TensorFile::open(path)?;
    let mut tensors = BTreeMap::new();
    for name in file.names() {
        let data = match name.split('/').next() {
            Some("progress" | "run" | "sha256") => {
                bytes(file.integers(&name)?.0.into_iter().map(|byte| byte as u8).collect())
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
