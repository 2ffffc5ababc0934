//! Errors of looking for, downloading and uploading models and data sets.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Kind;

/// An error of this crate: what was asked for, where, and what the other side says about it.
///
/// A variant without a description is described by its message. `name` is a repository, `host` and `url` are who answered,
/// `token_given` says whether a token was sent, `missing` holds names and patterns that match no file, and `similar` the
/// nearest known names, the nearest first.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "described once, above")]
pub enum HubError {
    #[error("the name of a model or data set is empty, expected `org/name`, `org/name@revision` or a folder")]
    EmptyName,

    #[error("`{name}`: `{revision}` is not a revision, expected a branch, a tag or a commit after `@`")]
    InvalidRevision { name: String, revision: String },

    #[error("the folder {} does not exist", .0.display())]
    MissingFolder(PathBuf),

    #[error("{} is a file, expected a folder", .0.display())]
    NotAFolder(PathBuf),

    #[error(
        "`{name}` was not found: there is no such folder, and the cache has no {}; nothing is downloaded",
        .looked_in.display()
    )]
    NotCached { name: String, looked_in: PathBuf },

    #[error(
        "`{name}` is in the cache, but not its revision `{revision}`: {} does not exist{}",
        .looked_in.display(),
        then("; cached: ", &.cached.join(", "))
    )]
    RevisionNotCached { name: String, revision: String, looked_in: PathBuf, cached: Vec<String> },

    /// There is no cache: no variable names it, and the user has no home folder.
    #[error("`{name}` is no folder, and there is no cache: set HF_HUB_CACHE, HF_HOME or HOME")]
    NoCache { name: String },

    /// Neither a folder nor the cache has it, and the program was built without the feature `online`.
    #[error("`{name}` is neither a folder nor in the cache, and this program was built without the hub")]
    NotBuiltIn { name: String },

    #[error("`{name}` is in the cache, but without {}: {} has no such file", list(.missing), .snapshot.display())]
    FilesNotCached { name: String, missing: Vec<String>, snapshot: PathBuf },

    /// The hub has no such repository. It gives the same answer for a private one.
    #[error(
        "the hub has no {kind} `{name}`, or it is private{}{}",
        if *.token_given { " and the token does not open it" } else { "" },
        then("; similar: ", &list(.similar))
    )]
    RepositoryNotFound { name: String, kind: Kind, token_given: bool, similar: Vec<String> },

    #[error("`{name}` has no revision `{revision}`")]
    RevisionNotFound { name: String, revision: String },

    #[error("`{name}` at `{revision}` has no {}; it has {}", list(.missing), some_of(.existing))]
    FilesNotFound { name: String, revision: String, missing: Vec<String>, existing: Vec<String> },

    /// The repository is gated: its conditions have to be accepted on its page, and a token has to be sent.
    #[error(
        "`{name}` is gated: {}",
        if *.token_given { "the token's owner was not given access" } else { "a token is needed, and there is none" }
    )]
    Gated { name: String, token_given: bool },

    #[error("{host} requires a token for `{name}`, and there is none")]
    TokenMissing { name: String, host: String },

    /// The hub does not accept the token (status 401): it is mistyped, revoked or from another hub.
    #[error("{host} refused the token that was sent for `{name}`{}", then(": ", .message))]
    TokenRefused { name: String, host: String, message: String },

    /// The token gives no access to the repository (status 403).
    #[error("{host} refuses access to `{name}`{}", then(": ", .message))]
    Forbidden { name: String, host: String, message: String },

    #[error("an upload to `{name}` needs a token, and there is none")]
    TokenNeeded { name: String },

    #[error("nothing is uploaded to `{name}` offline")]
    Offline { name: String },

    /// The token does not allow uploads to the repository (status 403).
    #[error("{host} accepts no upload to `{name}` with this token{}", then(": ", .message))]
    UploadRefused { name: String, host: String, message: String },

    #[error("`{name}` exists and is public; nothing was uploaded")]
    NotPrivate { name: String },

    #[error("`{name}` is no repository of the hub, expected org/name or org/name@branch")]
    NoRepository { name: String },

    /// The token has other characters than visible ASCII. It is not shown.
    #[error("the token has characters that no token has, such as a space or the end of a line inside it")]
    InvalidToken,

    #[error("`{0}` is not the address of a hub, expected such as https://huggingface.co, without a user or a query")]
    InvalidEndpoint(String),

    /// The value of a variable for proxies is not an address. It is not shown: it may hold a password.
    #[error("{variable} is not the address of a proxy, expected such as http://proxy.example:3128")]
    InvalidProxy { variable: &'static str },

    /// This machine lacks what a connection needs, such as the certificates of authorities.
    #[error("no connection can be made from this machine")]
    NoClient { source: Box<dyn std::error::Error + Send + Sync> },

    /// The connection failed, broke or stalled, after all tries. What has arrived is kept for the next call.
    #[error("the connection to {host} failed")]
    Network { host: String, source: Box<dyn std::error::Error + Send + Sync> },

    /// The server answered with an error, after all tries if it is a transient one.
    #[error("{url} answered with status {status}{}", then(": ", .message))]
    Status { url: String, status: u16, message: String, retry_after: Option<Duration> },

    #[error("{url} did not answer as a hub does: {reason}")]
    BadAnswer { url: String, reason: String },

    #[error("`{file}` should have {expected} bytes, but the server sends {got}")]
    WrongSize { file: String, expected: u64, got: u64 },

    /// The content of a file has not the announced hash, twice in a row. It was deleted.
    #[error("`{file}` should have the hash {expected}, but what arrived has {got}")]
    WrongHash { file: String, expected: String, got: String },

    /// The disk is full. What has arrived is kept for the next call.
    #[error("the disk is full: cannot write {}", .path.display())]
    DiskFull { path: PathBuf, source: std::io::Error },

    #[error("cannot write {}", .path.display())]
    NotWritable { path: PathBuf, source: std::io::Error },

    #[error("cannot read {}", .path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

impl HubError {
    #[cfg(feature = "online")]
    pub(crate) fn no_client(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::NoClient { source: source.into() }
    }

    /// Why `path` could not be written.
    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull { path, source },
            _ => Self::NotWritable { path, source },
        }
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Network { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The first few of many names.
fn some_of(names: &[String]) -> String {
    match names {
        [] => "no files".into(),
        [first @ .., _] if first.len() < 10 => list(names),
        _ => format!("{} and {} more", list(&names[..10]), names.len() - 10),
    }
}

/// What follows in a message, if there is anything.
fn then(introduction: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{introduction}{text}") }
}
