//! Where a run leaves its traces.

use crate::{Checkpoints, Progress, TrainError, TrainEvent, tensorboard::TensorBoard};
use adamole_llama::{CausalLm, save_adapter, write_atomically};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// A run's folder: `config.json`, `settings.json` (what it was begun with, for whoever resumes it), `metrics.jsonl`,
/// `checkpoints/`, `adapter/` (the best epoch's) and `report.json`.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    metrics: File,
    tensorboard: Option<TensorBoard>,
}

impl RunDirectory {
    /// Creates the folder and writes `config.json` and `settings.json`.
    ///
    /// # Errors
    /// The folder already holds a run, or cannot be written.
    pub fn create(path: &Path, config: &impl Serialize, settings: &impl Serialize) -> Result<Self, TrainError> {
        let metrics = path.join("metrics.jsonl");
        if metrics.exists() {
            return Err(TrainError::RunExists { path: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(TrainError::io(path))?;
        write_json(&path.join("config.json"), config)?;
        write_json(&path.join("settings.json"), settings)?;
        let metrics = File::create(&metrics).map_err(TrainError::io(metrics))?;
        Ok(Self { path: path.to_owned(), metrics, tensorboard: None })
    }

    /// What the run in `path` was begun with, as [`Self::create`] was handed it.
    ///
    /// # Errors
    /// There is no run that can be resumed: none at all, a finished one, or one whose `settings.json` cannot be read.
    pub fn settings<T: DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
        if path.join("report.json").exists() {
            return Err(TrainError::RunFinished { path: path.to_owned() });
        }
        let file = path.join("settings.json");
        let text = fs::read(&file).map_err(TrainError::io(&file))?;
        serde_json::from_slice(&text).map_err(|error| TrainError::io(&file)(error.into()))
    }

    /// Opens the folder of a run that goes on from `progress`, or from its beginning. Metrics of what will be done again
    /// are removed.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn resume(path: &Path, progress: Option<&Progress>) -> Result<Self, TrainError> {
        let metrics = path.join("metrics.jsonl");
        let text = fs::read_to_string(&metrics).map_err(TrainError::io(&metrics))?;
        let is_past = |line: &&str| match (serde_json::from_str(line), progress) {
            (Ok(TrainEvent::Start { .. }), Some(_)) => true,
            (Ok(TrainEvent::Step(step)), Some(progress)) => step.step < progress.step,
            (Ok(TrainEvent::Skipped { step, .. } | TrainEvent::Collapsed { step, .. }), Some(progress)) => {
                step < progress.step
            }
            (Ok(TrainEvent::Epoch(epoch)), Some(progress)) => epoch.epoch < progress.epoch,
            // The last line may have been cut off.
            (Err(_), _) | (_, None) => false,
        };
        let past: String = text.lines().filter(is_past).flat_map(|line| [line, "\n"]).collect();
        write_atomically(&metrics, past.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&metrics).map_err(TrainError::io(&metrics))?;
        Ok(Self { path: path.to_owned(), metrics: file, tensorboard: None })
    }

    /// Also writes what happens from `step` on as event files for TensorBoard, in `tensorboard/`.
    ///
    /// # Errors
    /// The first of them cannot be written.
    pub fn with_tensorboard(mut self, step: usize) -> Result<Self, TrainError> {
        self.tensorboard = Some(TensorBoard::create(&self.path.join("tensorboard"), step)?);
        Ok(self)
    }

    /// The run's checkpoints.
    pub fn checkpoints(path: &Path, every: usize, keep: usize) -> Checkpoints {
        Checkpoints::new(path.join("checkpoints"), every, keep)
    }

    /// Appends one line to `metrics.jsonl`, and to the event file if there is one.
    ///
    /// # Errors
    /// The file cannot be written, or was removed.
    pub fn record(&mut self, event: &TrainEvent) -> Result<(), TrainError> {
        if let Some(tensorboard) = &mut self.tensorboard {
            tensorboard.record(event)?;
        }
        let path = self.path.join("metrics.jsonl");
        let line = serde_json::to_string(event).map_err(|e| TrainError::io(&path)(e.into()))?;
        writeln!(self.metrics, "{line}").map_err(TrainError::io(&path))?;
        // A file that was removed under the run would take lines that nobody can read.
        fs::metadata(&path).map(drop).map_err(TrainError::io(path))
    }

    /// Saves the adapters of `model`, trained on `base`, as the best so far.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save_best(&self, model: &CausalLm, base: &str) -> Result<(), TrainError> {
        Ok(save_adapter(model, Some(base), &self.adapter())?)
    }

    /// The folder of the best adapter.
    pub fn adapter(&self) -> PathBuf {
        self.path.join("adapter")
    }

    /// Writes `report.json`, by whose presence a run is known to be complete.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(&self, report: &impl Serialize) -> Result<(), TrainError> {
        write_json(&self.path.join("report.json"), report)
    }
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| TrainError::io(path)(e.into()))?;
    Ok(write_atomically(path, format!("{text}\n").as_bytes())?)
}
