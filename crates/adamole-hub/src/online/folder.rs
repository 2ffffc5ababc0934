//! The folder of one repository in the cache: what is written into it, and how.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::etag::Etag;
use crate::HubError;

/// The folder of a repository in the cache, laid out as `huggingface_hub` does:
///
/// ```text
/// models--org--name/blobs/<etag>                     a file's content
/// models--org--name/blobs/<etag>.incomplete          the part of it that has arrived
/// models--org--name/snapshots/<commit>/config.json   a link to ../../blobs/<etag>
/// models--org--name/refs/main                        the commit
/// .locks/models--org--name/<etag>.lock               locked by who writes the blob
/// ```
#[derive(Debug)]
pub(crate) struct RepositoryFolder {
    root: PathBuf,
    locks: PathBuf,
}

impl RepositoryFolder {
    pub(crate) fn new(cache: &Path, name: &str) -> Self {
        Self { root: cache.join(name), locks: cache.join(".locks").join(name) }
    }

    fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// Makes the folder of a snapshot, which may stay without files.
    pub(crate) fn make_snapshot(&self, commit: &str) -> Result<PathBuf, HubError> {
        let path = self.snapshot(commit);
        fs::create_dir_all(&path).map_err(|source| HubError::write(&path, source))?;
        Ok(path)
    }

    pub(crate) fn blob(&self, etag: &Etag) -> PathBuf {
        self.root.join("blobs").join(etag.as_str())
    }

    /// Where the content of `etag` is gathered until it is complete. Its folder is made.
    pub(crate) fn partial(&self, etag: &Etag) -> Result<PathBuf, HubError> {
        let path = self.root.join("blobs").join(format!("{}.incomplete", etag.as_str()));
        make_parent(&path)?;
        Ok(path)
    }

    /// Takes the right to write the blob of `etag`, until the result is dropped or the process ends. If another
    /// process has it, `waiting` is called, and this waits.
    pub(crate) fn lock(&self, etag: &Etag, waiting: impl FnOnce()) -> Result<File, HubError> {
        let path = self.locks.join(format!("{}.lock", etag.as_str()));
        make_parent(&path)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|source| HubError::write(&path, source))?;
        let locked = match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock()
            }
            Err(TryLockError::Error(source)) => Err(source),
        };
        match locked {
            Ok(()) => Ok(file),
            Err(source) => Err(HubError::Lock { path, source }),
        }
    }

    /// Makes the complete file at `partial` the blob of `etag`.
    pub(crate) fn install(&self, partial: &Path, etag: &Etag) -> Result<(), HubError> {
        // The rename must not reach the disk before the content does.
        let written = File::options().write(true).open(partial).and_then(|file| file.sync_all());
        written.map_err(|source| HubError::write(partial, source))?;
        let blob = self.blob(etag);
        fs::rename(partial, &blob).map_err(|source| HubError::write(&blob, source))
    }

    /// Makes the blob of `etag` the file `name` of a snapshot. The name must have been checked.
    pub(crate) fn link(&self, commit: &str, name: &str, etag: &Etag) -> Result<(), HubError> {
        self.link_or_copy(commit, name, etag, |target, new| symlink(target, new))
    }

    fn link_or_copy(
        &self,
        commit: &str,
        name: &str,
        etag: &Etag,
        symlink: impl Fn(&Path, &Path) -> io::Result<()>,
    ) -> Result<(), HubError> {
        let path = self.snapshot(commit).join(name);
        make_parent(&path)?;
        let mut target = PathBuf::from("../../");
        target.extend(name.bytes().filter(|&byte| byte == b'/').map(|_| ".."));
        target.push("blobs");
        target.push(etag.as_str());

        // A link is made aside and then renamed, so that another process sees the old one, the new one, or none.
        let new = self.unique();
        let made = match symlink(&target, &new) {
            Ok(()) => Ok(()),
            // A file system or a user without links.
            Err(_) => fs::copy(self.blob(etag), &new).map(|_| ()),
        };
        made.and_then(|()| fs::rename(&new, &path)).map_err(|source| {
            // It may not have been made.
            let _ = fs::remove_file(&new);
            HubError::write(&path, source)
        })
    }

    /// Notes the commit that a branch or tag is at.
    pub(crate) fn write_ref(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        let path = self.root.join("refs").join(revision);
        if fs::read_to_string(&path).is_ok_and(|noted| noted == commit) {
            return Ok(());
        }
        make_parent(&path)?;
        let new = self.unique();
        fs::write(&new, commit).and_then(|()| fs::rename(&new, &path)).map_err(|source| {
            let _ = fs::remove_file(&new);
            HubError::write(&path, source)
        })
    }

    /// A name in the folder that no other writer uses.
    fn unique(&self) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        self.root.join(format!(".new-{}-{count}", std::process::id()))
    }
}

/// Makes the folder that `path` is to be in.
fn make_parent(path: &Path) -> Result<(), HubError> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(|source| HubError::write(parent, source))
}

#[cfg(unix)]
use std::os::unix::fs::symlink;
#[cfg(windows)]
use std::os::windows::fs::symlink_file as symlink;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_links_a_file_is_copied() {
        let cache = tempfile::tempdir().unwrap();
        let folder = RepositoryFolder::new(cache.path(), "models--org--name");
        let etag = Etag::parse(&"ab".repeat(20)).unwrap();
        let partial = folder.partial(&etag).unwrap();
        fs::write(&partial, "content").unwrap();
        folder.install(&partial, &etag).unwrap();
        folder.link_or_copy("c0", "a/b", &etag, |_, _| Err(io::ErrorKind::Unsupported.into())).unwrap();
        let copy = folder.snapshot("c0").join("a/b");
        assert!(copy.symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read_to_string(copy).unwrap(), "content");
        assert_eq!(fs::read_dir(&folder.root).unwrap().count(), 2, "nothing is left but blobs and snapshots");
    }
}
