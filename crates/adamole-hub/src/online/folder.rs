//! The folder of one repository in the cache, written, and the hashes that name its files.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha1::Sha1;
use sha2::digest::DynDigest;
use sha2::{Digest, Sha256};
use tempfile::Builder;

use crate::HubError;

/// The hash of a file's content, which is also its name in `blobs`: the SHA-256 of the content (64 hexadecimal digits, for
/// files in large file storage) or its name as a git blob (40 digits, a SHA-1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Etag(String);

impl Etag {
    /// Reads the value of the header `ETag` or `X-Linked-ETag`, with or without its quotes.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let text = header.trim();
        let text = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
        let is_hexadecimal = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_hexadecimal && matches!(text.len(), 40 | 64)).then(|| Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash of the same kind of the file at `path`.
    pub(crate) fn of_file(&self, path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut hash: Box<dyn DynDigest> = match self.0.len() {
            64 => Box::new(Sha256::new()),
            _ => Box::new(Sha1::new_with_prefix(format!("blob {}\0", file.metadata()?.len()))),
        };
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(Self(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())),
                count => hash.update(&buffer[..count]),
            }
        }
    }
}

/// The folder of a repository, in the layout of `huggingface_hub`:
///
/// ```text
/// models--org--name/blobs/<etag>                     a file's content
/// models--org--name/blobs/<etag>.incomplete          the part of it that has arrived
/// models--org--name/snapshots/<commit>/config.json   a link to ../../blobs/<etag>
/// models--org--name/refs/main                        the commit
/// .locks/models--org--name/<etag>.lock               locked by the process that writes the blob
/// ```
pub(crate) struct RepositoryFolder {
    root: PathBuf,
    locks: PathBuf,
}

impl RepositoryFolder {
    pub(crate) fn new(cache: &Path, name: &str) -> Self {
        Self { root: cache.join(name), locks: cache.join(".locks").join(name) }
    }

    /// The folder of a snapshot, which is created and may stay empty.
    pub(crate) fn snapshot(&self, commit: &str) -> Result<PathBuf, HubError> {
        let path = self.root.join("snapshots").join(commit);
        fs::create_dir_all(&path).map_err(|source| HubError::write(&path, source))?;
        Ok(path)
    }

    pub(crate) fn blob(&self, etag: &Etag) -> PathBuf {
        self.root.join("blobs").join(etag.as_str())
    }

    /// The file for the content of `etag` until it is complete. Its folder is created.
    pub(crate) fn partial(&self, etag: &Etag) -> Result<PathBuf, HubError> {
        with_parent(self.blob(etag).with_extension("incomplete"))
    }

    /// Takes the right to write the blob of `etag`, until the result is dropped or the process ends. If another
    /// process has it, this calls `waiting` and waits, however long; `hf-hub` gives up after ten seconds.
    pub(crate) fn lock(&self, etag: &Etag, waiting: impl FnOnce()) -> Result<File, HubError> {
        let path = with_parent(self.locks.join(format!("{}.lock", etag.as_str())))?;
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|source| HubError::write(&path, source))?;
        let locked = match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock()
            }
            Err(TryLockError::Error(source)) => Err(source),
            Ok(()) => Ok(()),
        };
        locked.map(|()| file).map_err(|source| HubError::write(&path, source))
    }

    /// Makes the complete file at `partial` the blob of `etag`.
    pub(crate) fn install(&self, partial: &Path, etag: &Etag) -> Result<(), HubError> {
        // The rename must not reach the disk before the content does.
        let written = File::options().write(true).open(partial).and_then(|file| file.sync_all());
        let renamed = written.and_then(|()| fs::rename(partial, self.blob(etag)));
        renamed.map_err(|source| HubError::write(partial, source))
    }

    /// Makes the blob of `etag` the file `name` of a snapshot. The name must have been checked.
    pub(crate) fn link(&self, commit: &str, name: &str, etag: &Etag) -> Result<(), HubError> {
        let target = format!("../../{}blobs/{}", "../".repeat(name.matches('/').count()), etag.as_str());
        // There are file systems and users without links.
        let link = |new: &Path| symlink(&target, new).or_else(|_| fs::copy(self.blob(etag), new).map(drop));
        self.replace(self.root.join("snapshots").join(commit).join(name), link)
    }

    /// Writes the commit of a branch or tag.
    pub(crate) fn write_ref(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        let path = self.root.join("refs").join(revision);
        match fs::read_to_string(&path) {
            Ok(written) if written == commit => Ok(()),
            _ => self.replace(path, |new| fs::write(new, commit)),
        }
    }

    /// Makes a file aside and renames it, so that another process sees the old one, the new one, or none.
    fn replace(&self, path: PathBuf, make: impl FnMut(&Path) -> io::Result<()>) -> Result<(), HubError> {
        let path = with_parent(path)?;
        let made = Builder::new().prefix(".new-").make_in(&self.root, make);
        let renamed = made.and_then(|new| new.persist(&path).map_err(|error| error.error));
        renamed.map_err(|source| HubError::write(&path, source))
    }
}

/// The path, after its folder was created.
fn with_parent(path: PathBuf) -> Result<PathBuf, HubError> {
    let parent = path.parent().unwrap_or(&path);
    fs::create_dir_all(parent).map_err(|source| HubError::write(parent, source))?;
    Ok(path)
}

#[cfg(unix)]
use std::os::unix::fs::symlink;
#[cfg(windows)]
use std::os::windows::fs::symlink_file as symlink;
