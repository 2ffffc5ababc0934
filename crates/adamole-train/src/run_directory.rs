//! Where a run leaves its traces.

use crate::{TrainError, TrainEvent};
use adamole_llama::{CausalLm, save_adapter};
use serde::Serialize;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

/// A run's folder: `config.json`, `metrics.jsonl`, `adapter/` (the best epoch's) and `report.json`.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    metrics: File,
}

impl RunDirectory {
    /// Creates the folder and writes `config.json`.
    ///
    /// # Errors
    /// The folder already holds a run, or cannot be written.
    pub fn create(path: &Path, config: &impl Serialize) -> Result<Self, TrainError> {
        let metrics = path.join("metrics.jsonl");
        if metrics.exists() {
            return Err(TrainError::RunExists { path: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(TrainError::io(path))?;
        write_json(&path.join("config.json"), config)?;
        let metrics = File::create(&metrics).map_err(TrainError::io(metrics))?;
        Ok(Self { path: path.to_owned(), metrics })
    }

    /// Appends one line to `metrics.jsonl`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&mut self, event: &TrainEvent) -> Result<(), TrainError> {
        let path = self.path.join("metrics.jsonl");
        let line = serde_json::to_string(event).map_err(|e| TrainError::io(&path)(e.into()))?;
        writeln!(self.metrics, "{line}").map_err(TrainError::io(path))
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
    let temporary = path.with_added_extension("partial");
    fs::write(&temporary, format!("{text}\n")).and_then(|()| fs::rename(&temporary, path)).map_err(TrainError::io(path))
}
