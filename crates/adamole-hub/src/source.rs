//! Names as people write them.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use crate::{Cache, HubError, Kind};

/// Where a model or data set is to come from: a local folder, or a repository of the Hugging Face hub.
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

/// A name that was looked up among the local folders.
pub(crate) enum Place<'a> {
    /// There is such a folder.
    Folder(PathBuf),
    /// There is none, so this repository of the hub is meant.
    Repository(&'a Repository),
}

impl Source {
    /// Takes a name apart: `org/name`, `org/name@revision` (`main` if none is given), or a path.
    ///
    /// Whether a name that could be both is a folder or a repository is decided by [`Self::locate`].
    ///
    /// # Errors
    ///
    /// [`HubError::EmptyName`], and [`HubError::InvalidRevision`] for one that is empty or leads out of the cache.
    pub fn parse(text: &str) -> Result<Self, HubError> {
        if text.is_empty() {
            return Err(HubError::EmptyName);
        }
        let (id, revision) = text.split_once('@').unwrap_or((text, "main"));
        let repository = match is_repository(id) {
            true if is_revision(revision) => Some(Repository { id: id.into(), revision: revision.into() }),
            true => {
                return Err(HubError::InvalidRevision { name: text.into(), revision: revision.into() });
            }
            false => None,
        };
        Ok(Self { text: text.into(), repository })
    }

    /// The folder with the files: the local folder of this name if there is one, else the snapshot in the Hugging
    /// Face cache of this user ([`Cache::of_user`]). Nothing is downloaded.
    ///
    /// # Errors
    ///
    /// [`HubError`], which says what was looked for and where.
    pub fn locate(&self, kind: Kind) -> Result<PathBuf, HubError> {
        self.locate_with(kind, Cache::of_user().as_ref())
    }

    /// Like [`Self::locate`], with a cache of the caller's choice.
    ///
    /// # Errors
    ///
    /// Those of [`Self::locate`].
    pub fn locate_in(&self, kind: Kind, cache: &Cache) -> Result<PathBuf, HubError> {
        self.locate_with(kind, Some(cache))
    }

    /// The local folder of this name, if there is one: for it no hub is needed.
    pub fn folder(&self) -> Option<PathBuf> {
        let path = Path::new(&self.text);
        path.is_dir().then(|| path.into())
    }

    fn locate_with(&self, kind: Kind, cache: Option<&Cache>) -> Result<PathBuf, HubError> {
        match self.place()? {
            Place::Folder(folder) => Ok(folder),
            Place::Repository(repository) => {
                let cache = cache.ok_or_else(|| HubError::NoCache { name: self.text.clone() })?;
                cache.snapshot(kind, repository)
            }
        }
    }

    /// Whether this can be the name of a repository of the hub, whatever there is on this machine.
    pub fn is_repository(&self) -> bool {
        self.repository.is_some()
    }

    /// The repository of the hub that this may be, whatever there is on this machine.
    pub(crate) fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }

    /// What the name means on this machine.
    pub(crate) fn place(&self) -> Result<Place<'_>, HubError> {
        if let Some(folder) = self.folder() {
            return Ok(Place::Folder(folder));
        }
        let path = Path::new(&self.text);
        match &self.repository {
            // A file may happen to have the name of a repository; only a path is certain to mean the file.
            None if path.exists() => Err(HubError::NotAFolder(path.into())),
            None => Err(HubError::MissingFolder(path.into())),
            Some(repository) => Ok(Place::Repository(repository)),
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

/// Whether this names a file below `refs` and not elsewhere. Revisions may have slashes, as in `refs/pr/1`.
fn is_revision(revision: &str) -> bool {
    !revision.is_empty()
        && !revision.contains(['\\', '\0'])
        && Path::new(revision).components().all(|part| matches!(part, Component::Normal(_)))
}
