//! The lock of a run directory.

use crate::TrainError;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{ErrorKind, Read, Seek, Write},
    path::{Path, PathBuf},
    process, thread,
    time::Duration,
};

/// The lock of a run directory for one process, held until it is dropped: a lock of the operating system on the file
/// `run.lock`, which contains the id of the process. A process that is killed loses the lock; the file alone means nothing.
#[derive(Debug)]
pub struct RunLock {
    folder: PathBuf,
    /// Open as long as the lock is held.
    _file: File,
    is_locked: bool,
}

impl RunLock {
    /// Takes the lock of `folder`, which exists.
    ///
    /// # Errors
    /// [`TrainError::RunInUse`] if another process holds it; the file cannot be written.
    pub fn acquire(folder: &Path) -> Result<Self, TrainError> {
        let path = folder.join("run.lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(TrainError::io(&path))?;
        let is_locked = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                return Err(TrainError::RunInUse { path: folder.to_owned(), process: holder(&mut file) });
            }
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => false,
            Err(TryLockError::Error(error)) => return Err(TrainError::io(&path)(error)),
        };
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", process::id()));
        written.map_err(TrainError::io(&path))?;
        Ok(Self { folder: folder.to_owned(), _file: file, is_locked })
    }

    /// The locked folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the file system has locks; without them other processes are not kept out.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }
}

/// The process that holds the lock. It writes its id once it has the lock, so that a moment can pass before it is there; where
/// a locked file cannot be read, as on Windows, it stays unnamed.
fn holder(file: &mut File) -> Option<u32> {
    (0..20).find_map(|attempt| {
        if attempt > 0 {
            thread::sleep(Duration::from_millis(10));
        }
        let mut text = String::new();
        file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
        text.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_with_the_process_of_the_first() -> Result<(), TrainError> {
        let folder = tempfile::tempdir().map_err(TrainError::io("."))?;
        let first = RunLock::acquire(folder.path())?;
        assert!(first.is_locked());
        let second = RunLock::acquire(folder.path());
        assert!(
            matches!(&second, Err(TrainError::RunInUse { process: Some(id), .. }) if *id == process::id()),
            "{second:?}"
        );
        drop(first);
        RunLock::acquire(folder.path()).map(drop)
    }
}
