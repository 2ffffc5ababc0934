//! Locks, which admit one process at a time to a cell.

use crate::ExperimentError;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::Path,
};

/// Locks a file until the returned value is dropped or the process ends. On a file system without locks, this always succeeds.
///
/// # Errors
/// Another process holds the lock; the file cannot be opened.
pub(crate) fn hold(path: &Path) -> Result<File, ExperimentError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(ExperimentError::io(folder))?;
    }
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(ExperimentError::io(path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(ExperimentError::InUse { path: path.to_owned() }),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_has_one_holder() -> Result<(), crate::TestError> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("cell.lock");
        let held = hold(&path)?;
        assert!(matches!(hold(&path), Err(ExperimentError::InUse { .. })));
        drop(held);
        hold(&path)?;
        Ok(())
    }
}
