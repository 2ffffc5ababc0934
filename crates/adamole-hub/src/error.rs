//! Why a model or data set could not be found.

use std::path::PathBuf;

/// An error of this crate: what was looked for, and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The name is empty.
    #[error("the name of a model or data set is empty, expected `org/name`, `org/name@revision` or a folder")]
    EmptyName,

    /// What follows `@` cannot be a revision.
    #[error("`{name}`: `{revision}` is not a revision, expected a branch, a tag or a commit after `@`")]
    InvalidRevision {
        /// The whole name.
        name: String,
        /// The part after `@`.
        revision: String,
    },

    /// The name can only be a folder, and there is none.
    #[error("the folder {} does not exist", .0.display())]
    MissingFolder(PathBuf),

    /// The name is that of a file.
    #[error("{} is a file, expected a folder", .0.display())]
    NotAFolder(PathBuf),

    /// Neither a folder nor the cache has it.
    #[error(
        "`{name}` was not found: there is no such folder, and the cache has no {}; nothing is downloaded",
        .looked_in.display()
    )]
    NotCached {
        /// The name that was asked for.
        name: String,
        /// The folder of the cache where it would be.
        looked_in: PathBuf,
    },

    /// The cache has the repository, but not this revision of it.
    #[error(
        "`{name}` is in the cache, but not its revision `{revision}`: {} does not exist{}",
        .looked_in.display(),
        cached_revisions(.cached)
    )]
    RevisionNotCached {
        /// The name that was asked for.
        name: String,
        /// The revision that was asked for.
        revision: String,
        /// The folder of the snapshot, or the file that would name it.
        looked_in: PathBuf,
        /// Branches and tags that the cache has.
        cached: Vec<String>,
    },

    /// There is nowhere to look: no variable names the cache and the user has no home folder.
    #[error("`{name}` is no folder, and there is no cache: set HF_HUB_CACHE, HF_HOME or HOME")]
    NoCache {
        /// The name that was asked for.
        name: String,
    },

    /// A file of the cache could not be read.
    #[error("cannot read {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

fn cached_revisions(cached: &[String]) -> String {
    match cached {
        [] => String::new(),
        names => format!("; cached: {}", names.join(", ")),
    }
}
