//! The checkpoints of a run: when they are written, which are kept, and which one a run goes on from.

use crate::{Checkpoint, TrainError};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A folder with the newest checkpoints of a run, `step-00000200.safetensors` and so on.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    run: Option<Value>,
    /// Steps between two of them. There is one after every validation in any case.
    pub every: usize,
    /// How many are kept, at least 1.
    pub keep: usize,
}

impl Checkpoints {
    /// The checkpoints in `folder`, which is created when the first is written.
    pub fn new(folder: PathBuf, every: usize, keep: usize) -> Self {
        Self { folder, run: None, every: every.max(1), keep: keep.max(1) }
    }

    /// Says in every checkpoint which run it is of: whatever tells this run from another one. Whoever goes on from a
    /// checkpoint compares it with [`Checkpoint::run`].
    pub fn of_run(self, run: Value) -> Self {
        Self { run: Some(run), ..self }
    }

    /// The newest one that is whole. `skip` is told of those that are not.
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

    /// Writes one and removes those that are no longer kept.
    pub(crate) fn save(&self, mut checkpoint: Checkpoint) -> Result<(), TrainError> {
        fs::create_dir_all(&self.folder).map_err(TrainError::io(&self.folder))?;
        let name = format!("step-{:08}.safetensors", checkpoint.progress.step);
        checkpoint.run = self.run.clone();
        checkpoint.write(&self.folder.join(name))?;
        let files = self.files()?;
        for old in &files[..files.len().saturating_sub(self.keep)] {
            fs::remove_file(old).map_err(TrainError::io(old))?;
        }
        Ok(())
    }

    /// Oldest first: the names sort as the steps do.
    fn files(&self) -> Result<Vec<PathBuf>, TrainError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(TrainError::io(&self.folder))?,
        };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
        files.sort();
        Ok(files)
    }
}
