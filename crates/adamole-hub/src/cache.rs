//! The layout of the Hugging Face cache, which other programs fill.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::HubError;
use crate::source::Repository;
use crate::variables::Variables;

/// What a repository holds; the hub keeps the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Weights, configuration and tokenizer.
    Model,
    /// Rows.
    Dataset,
}

impl Kind {
    /// What the hub and the cache call this.
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

/// A cache folder as `huggingface_hub` lays it out:
///
/// ```text
/// models--org--name/refs/main             holds the commit that main was at
/// models--org--name/snapshots/<commit>/   holds the files
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in `folder`, whether or not that exists.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The cache of this user, where `huggingface_hub` looks: `HF_HUB_CACHE`; else `hub` in `HF_HOME`, in
    /// `huggingface` of `XDG_CACHE_HOME`, or in `~/.cache/huggingface`. `None` if the user has no home folder either.
    pub fn of_user() -> Option<Self> {
        Self::from_variables(&Variables::of_process())
    }

    pub(crate) fn from_variables(variables: &Variables) -> Option<Self> {
        let hub = || Some(variables.home()?.join("hub"));
        variables.path("HF_HUB_CACHE").or_else(hub).map(Self::new)
    }

    /// The folder of all repositories, whether or not that exists.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the folder of a repository is called.
    pub(crate) fn name_of(kind: Kind, id: &str) -> String {
        format!("{}--{}", kind.plural(), id.replace('/', "--"))
    }

    /// The folder with the files of a repository at its revision.
    pub(crate) fn snapshot(&self, kind: Kind, repository: &Repository) -> Result<PathBuf, HubError> {
        let Repository { id, revision } = repository;
        let root = self.folder.join(Self::name_of(kind, id));
        if !root.is_dir() {
            return Err(HubError::NotCached { name: id.clone(), looked_in: root });
        }
        let missing = |looked_in| HubError::RevisionNotCached {
            name: id.clone(),
            revision: revision.clone(),
            looked_in,
            cached: files_below(&root.join("refs")),
        };

        // A revision is either a commit, which names its snapshot, or a branch or tag, whose file holds the commit.
        let snapshots = root.join("snapshots");
        if is_commit(revision) && snapshots.join(revision).is_dir() {
            return Ok(snapshots.join(revision));
        }
        let file = root.join("refs").join(revision);
        let commit = match std::fs::read_to_string(&file) {
            Ok(commit) => commit,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory) =>
            {
                return Err(missing(if is_commit(revision) { snapshots.join(revision) } else { file }));
            }
            Err(source) => return Err(HubError::Io { path: file, source }),
        };
        let commit = commit.trim();
        let snapshot = snapshots.join(commit);
        match is_commit(commit) && snapshot.is_dir() {
            true => Ok(snapshot),
            false => Err(missing(snapshot)),
        }
    }
}

/// Whether this looks like a commit: hexadecimal digits. A file of the cache must not lead out of it.
fn is_commit(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The files in and below `folder`, as paths relative to it.
pub(crate) fn files_below(folder: &Path) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(variables: &[(&str, &str)], home: Option<&str>) -> Option<PathBuf> {
        Cache::from_variables(&Variables::of(variables, home)).map(|cache| cache.folder)
    }

    #[test]
    fn variables_decide_where_the_cache_is() {
        let all = [("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x")];
        assert_eq!(cache(&all, Some("/me")), Some("/c".into()));
        assert_eq!(cache(&all[1..], Some("/me")), Some("/h/hub".into()));
        assert_eq!(cache(&all[2..], Some("/me")), Some("/x/huggingface/hub".into()));
        assert_eq!(cache(&[("HF_HOME", "")], Some("/me")), Some("/me/.cache/huggingface/hub".into()));
        assert_eq!(cache(&[], None), None);
    }
}
