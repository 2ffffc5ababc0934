//! The cache, read.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::source::Repository;
use crate::{HubError, Wanted};

/// The type of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Weights, configuration and tokenizer.
    Model,
    /// Rows.
    Dataset,
}

impl Kind {
    /// The name of this type in addresses and in the cache.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Dataset => "data set",
        })
    }
}

/// A cache folder in the layout of `huggingface_hub` and `hf-hub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in `folder`, which may not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name of a repository's folder.
    pub(crate) fn name_of(kind: Kind, id: &str) -> String {
        format!("{}--{}", kind.plural(), id.replace('/', "--"))
    }

    /// The snapshot of a repository, if it has the wanted files.
    pub(crate) fn find(&self, kind: Kind, repository: &Repository, wanted: &Wanted) -> Result<PathBuf, HubError> {
        let snapshot = self.snapshot(kind, repository)?;
        let mut files = files_below(&snapshot);
        // Not links whose blob is gone.
        files.retain(|file| snapshot.join(file).is_file());
        match wanted.missing(&files) {
            missing if missing.is_empty() => Ok(snapshot),
            missing => Err(HubError::FilesNotCached { name: repository.id.clone(), missing, snapshot }),
        }
    }

    /// The folder with the files of a repository at its revision.
    fn snapshot(&self, kind: Kind, repository: &Repository) -> Result<PathBuf, HubError> {
        let Repository { id, revision } = repository;
        let root = self.folder.join(Self::name_of(kind, id));
        if !root.is_dir() {
            return Err(HubError::NotCached { name: id.clone(), looked_in: root });
        }
        let (snapshots, refs) = (root.join("snapshots"), root.join("refs"));
        // A revision is a commit, which names its snapshot, or a branch or tag, whose file holds the commit.
        if is_commit(revision) && snapshots.join(revision).is_dir() {
            return Ok(snapshots.join(revision));
        }
        let file = refs.join(revision);
        let looked_in = if file.is_file() {
            let commit = std::fs::read_to_string(&file).map_err(|source| HubError::Io { path: file, source })?;
            let snapshot = snapshots.join(commit.trim());
            if is_commit(commit.trim()) && snapshot.is_dir() {
                return Ok(snapshot);
            }
            snapshot
        } else {
            if is_commit(revision) { snapshots.join(revision) } else { file }
        };
        let (name, revision) = (id.clone(), revision.clone());
        Err(HubError::RevisionNotCached { name, revision, looked_in, cached: files_below(&refs) })
    }
}

/// Whether this is hexadecimal, as commits are. A file of the cache must not lead out of it.
fn is_commit(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The files in and below `folder`, as paths relative to it, sorted.
fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.path().is_dir() {
            true => files.extend(files_below(&entry.path()).into_iter().map(|file| format!("{name}/{file}"))),
            false => files.push(name),
        }
    }
    files.sort();
    files
}
