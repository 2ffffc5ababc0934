//! The folder of a run.

use crate::{Checkpoints, RunLock, TrainError, TrainEvent, TrainingState, tensorboard::TensorBoard};
use adamole_llama::{CausalLm, save_adapter, write_atomically};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

/// The folder of a run, open for one process: `config.json`, `settings.json` (the settings it began with, for resuming it),
/// `metrics.jsonl`, `checkpoints/`, `adapter/` (of the best epoch), `report.json`, and the lock `run.lock`.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    metrics: File,
    tensorboard: Option<TensorBoard>,
    /// Held as long as the folder is open.
    lock: RunLock,
}

/// The files and folders that only a run writes that has begun to compute. A folder without any of them is free: settings
/// alone are those of a run that was killed before its first number.
const TRACES: [&str; 8] = [
    "metrics.jsonl",
    "checkpoints",
    "adapter",
    "report.json",
    "reported.jsonl",
    "routing.json",
    "routing.html",
    "tensorboard",
];

impl RunDirectory {
    /// Checks that a new run can begin in `path`, without changing anything. [`Self::create`] checks again.
    ///
    /// # Errors
    /// [`TrainError::RunExists`] if the folder has anything of a run that has computed, [`TrainError::RunInUse`] if a
    /// process is about to.
    pub fn check_free(path: &Path) -> Result<(), TrainError> {
        if path.join("run.lock").exists() {
            RunLock::acquire(path)?;
        }
        let is_there = |name: &&&str| {
            let trace = path.join(name);
            // An empty folder is no trace.
            let is_empty = || fs::read_dir(&trace).is_ok_and(|mut entries| entries.next().is_none());
            trace.exists() && !(trace.is_dir() && is_empty())
        };
        match TRACES.iter().find(is_there) {
            Some(trace) => Err(TrainError::RunExists { path: path.to_owned(), trace }),
            None => Ok(()),
        }
    }

    /// Creates the folder, takes its lock, and writes `config.json` and `settings.json`.
    ///
    /// # Errors
    /// The folder already holds a run, another process has it, or it cannot be written.
    pub fn create(path: &Path, config: &impl Serialize, settings: &impl Serialize) -> Result<Self, TrainError> {
        Self::check_free(path)?;
        fs::create_dir_all(path).map_err(TrainError::io(path))?;
        let lock = RunLock::acquire(path)?;
        // Another process may have begun before this one had the lock.
        let metrics = path.join("metrics.jsonl");
        if metrics.exists() {
            return Err(TrainError::RunExists { path: path.to_owned(), trace: "metrics.jsonl" });
        }
        write_json(&path.join("config.json"), config)?;
        write_json(&path.join("settings.json"), settings)?;
        let metrics = File::create(&metrics).map_err(TrainError::io(metrics))?;
        Ok(Self { path: path.to_owned(), metrics, tensorboard: None, lock })
    }

    /// The settings that the run in `path` began with, as [`Self::create`] got them.
    ///
    /// # Errors
    /// There is no `settings.json`, or it cannot be read.
    pub fn settings<T: DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
        read_json(&path.join("settings.json"))
    }

    /// Replaces `config.json` and `settings.json`, for a run that continues with other settings.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn rewrite(lock: &RunLock, config: &impl Serialize, settings: &impl Serialize) -> Result<(), TrainError> {
        write_json(&lock.folder().join("config.json"), config)?;
        write_json(&lock.folder().join("settings.json"), settings)
    }

    /// The content of `config.json`; `None` where it is gone or cannot be read.
    pub fn config(path: &Path) -> Option<serde_json::Value> {
        read_json(&path.join("config.json")).ok()
    }

    /// The report of a finished run; `None` of another one.
    ///
    /// # Errors
    /// `report.json` cannot be read.
    pub fn report<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, TrainError> {
        let file = path.join("report.json");
        if file.exists() { read_json(&file).map(Some) } else { Ok(None) }
    }

    /// The events in `metrics.jsonl` of the run in `path`, whether it is finished or still going on. The last line of a run
    /// that was killed may have been cut off, and is passed over.
    ///
    /// # Errors
    /// The file is not there or cannot be read, or another line is not an event.
    pub fn metrics(path: &Path) -> Result<Vec<TrainEvent>, TrainError> {
        let file = path.join("metrics.jsonl");
        let bytes = fs::read(&file).map_err(TrainError::io(&file))?;
        let text = String::from_utf8_lossy(&bytes);
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let event = |(place, line): (usize, &str)| {
            let wrong = |error| std::io::Error::other(format!("line {}: {error}", place + 1));
            serde_json::from_str(line).map_err(|error| TrainError::io(&file)(wrong(error)))
        };
        whole.lines().enumerate().map(event).collect()
    }

    /// The number of steps in `metrics.jsonl`; `None` where there is no such file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn recorded_steps(path: &Path) -> Result<Option<usize>, TrainError> {
        let Some(text) = metrics_of(path)? else { return Ok(None) };
        let steps = text.lines().filter_map(|line| match serde_json::from_str(line) {
            Ok(TrainEvent::Step(step)) => Some(step.step.saturating_add(1)),
            Ok(TrainEvent::Skipped { step, .. }) => Some(step.saturating_add(1)),
            _ => None,
        });
        Ok(Some(steps.max().unwrap_or(0)))
    }

    /// Opens the folder of a run that continues from `state`, or from its beginning. Metrics of what will be done again are
    /// removed; where the file is gone, the validations are written again.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn resume(lock: RunLock, state: Option<&TrainingState>) -> Result<Self, TrainError> {
        let path = lock.folder().to_owned();
        let is_past = |line: &&str| match (serde_json::from_str(line), state) {
            (Ok(TrainEvent::Start { .. }), Some(_)) => true,
            (Ok(TrainEvent::Step(step)), Some(state)) => step.step < state.step,
            (Ok(TrainEvent::Skipped { step, .. } | TrainEvent::Collapsed { step, .. }), Some(state)) => {
                step < state.step
            }
            (Ok(TrainEvent::Epoch(epoch)), Some(state)) => epoch.epoch < state.epoch,
            // The last line may have been cut off.
            (Err(_), _) | (_, None) => false,
        };
        let past: String = match metrics_of(&path)? {
            Some(text) => text.lines().filter(is_past).flat_map(|line| [line, "\n"]).collect(),
            None => {
                let validations = state.into_iter().flat_map(|state| &state.epochs);
                let line = |epoch| serde_json::to_string(&TrainEvent::Epoch(epoch)).unwrap_or_default() + "\n";
                validations.cloned().map(line).collect()
            }
        };
        let metrics = path.join("metrics.jsonl");
        write_atomically(&metrics, past.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&metrics).map_err(TrainError::io(&metrics))?;
        Ok(Self { path, metrics: file, tensorboard: None, lock })
    }

    /// Also writes events from `step` on as event files for TensorBoard, in `tensorboard/`.
    ///
    /// # Errors
    /// The first of them cannot be written.
    pub fn with_tensorboard(mut self, step: usize) -> Result<Self, TrainError> {
        self.tensorboard = Some(TensorBoard::create(&self.path.join("tensorboard"), step)?);
        Ok(self)
    }

    /// Whether the folder is locked: some network file systems have no locks.
    pub fn is_locked(&self) -> bool {
        self.lock.is_locked()
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
        // Lines of a file that was removed meanwhile would be lost.
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
        Self::adapter_of(&self.path)
    }

    /// The folder of the best adapter of the run in `path`.
    pub fn adapter_of(path: &Path) -> PathBuf {
        path.join("adapter")
    }

    /// Writes `report.json`, which marks the run as finished.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(&self, report: &impl Serialize) -> Result<(), TrainError> {
        write_json(&self.path.join("report.json"), report)
    }
}

/// The text of `metrics.jsonl`, if the file is there. Bytes that are no text are of lines that were cut off.
fn metrics_of(path: &Path) -> Result<Option<String>, TrainError> {
    let file = path.join("metrics.jsonl");
    match fs::read(&file) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TrainError::io(&file)(error)),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
    let text = fs::read(path).map_err(TrainError::io(path))?;
    serde_json::from_slice(&text).map_err(|error| TrainError::io(path)(error.into()))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| TrainError::io(path)(e.into()))?;
    Ok(write_atomically(path, format!("{text}\n").as_bytes())?)
}
