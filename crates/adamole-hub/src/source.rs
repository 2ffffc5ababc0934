//! Names of models and data sets.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::HubError;

/// The name of a model or data set: a local folder, or a repository of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    text: String,
    repository: Option<Repository>,
}

/// A repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository {
    /// `org/name`, or `name` alone for the hub's oldest ones.
    pub(crate) id: String,
    /// A branch, a tag or a commit.
    pub(crate) revision: String,
}

impl Source {
    /// Reads `org/name`, `org/name@revision` (`main` by default), or a path.
    ///
    /// # Errors
    ///
    /// [`HubError::EmptyName`], and [`HubError::InvalidRevision`] for one that is empty or leads out of the cache.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        if text.is_empty() {
            return Err(HubError::EmptyName);
        }
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        if is_repository(id) && !is_revision(revision) {
            return Err(HubError::InvalidRevision { name: text.into(), revision: revision.into() });
        }
        let repository = is_repository(id).then(|| Repository { id: id.into(), revision: revision.into() });
        Ok(Self { text: text.into(), repository })
    }

    /// The local folder of this name, if it exists. It takes precedence over a repository.
    pub fn folder(&self) -> Option<PathBuf> {
        let path = Path::new(&self.text);
        path.is_dir().then(|| path.into())
    }

    /// Whether this can be the name of a repository, whatever exists on this machine.
    pub fn is_repository(&self) -> bool {
        self.repository.is_some()
    }

    /// The repository of this name, where there is no such folder.
    pub(crate) fn repository(&self) -> Result<&Repository, HubError> {
        let path = Path::new(&self.text);
        match &self.repository {
            Some(repository) => Ok(repository),
            // A file may have the name of a repository; only a path is certain to mean the file.
            None if path.exists() => Err(HubError::NotAFolder(path.into())),
            None => Err(HubError::MissingFolder(path.into())),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether the hub could have a repository of this name: one or two parts of letters, digits, `-`, `_` and `.`,
/// without a `.` or `-` at an end.
fn is_repository(id: &str) -> bool {
    let is_part = |part: &str| {
        part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && !part.is_empty()
            && !part.starts_with(['.', '-'])
            && !part.ends_with(['.', '-'])
            && !part.contains("..")
            // The cache writes `/` as `--`.
            && !part.contains("--")
    };
    id.split('/').count() <= 2 && id.split('/').all(is_part)
}

/// Whether this names a file below `refs` and nowhere else. Revisions may have slashes, as in `refs/pr/1`.
fn is_revision(revision: &str) -> bool {
    !revision.is_empty()
        && !revision.contains(['\\', '\0'])
        && Path::new(revision).components().all(|part| matches!(part, Component::Normal(_)))
}
