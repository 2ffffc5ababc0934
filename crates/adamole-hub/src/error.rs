//! Why a model or data set could not be found or fetched.

use std::path::PathBuf;
use std::time::Duration;

use crate::Kind;

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

    /// Neither a folder nor the cache has it, and the program was built without what asks a hub.
    #[error("`{name}` is neither a folder nor in the cache, and this program was built without the hub")]
    NotBuiltIn {
        /// The name that was asked for.
        name: String,
    },

    /// The cache has the snapshot, but not these files of it.
    #[error("`{name}` is in the cache, but without {}: {} has no such file", list(.missing), .snapshot.display())]
    FilesNotCached {
        /// The name that was asked for.
        name: String,
        /// The names and patterns that match no file.
        missing: Vec<String>,
        /// The folder of the snapshot.
        snapshot: PathBuf,
    },

    /// The hub has no such repository, or does not admit to it: it answers so for a private one, too.
    #[error(
        "the hub has no {kind} `{name}`, or it is private{}{}",
        if *.token_given { " and the token does not open it" } else { "" },
        suggestion(.similar)
    )]
    RepositoryNotFound {
        /// The name that was asked for.
        name: String,
        /// What was asked for under this name.
        kind: Kind,
        /// Whether a token was sent. Without one, a private repository cannot be told from none.
        token_given: bool,
        /// Names that are almost the same, the nearest first.
        similar: Vec<String>,
    },

    /// The repository has no such branch, tag or commit.
    #[error("`{name}` has no revision `{revision}`")]
    RevisionNotFound {
        /// The name that was asked for.
        name: String,
        /// The revision that was asked for.
        revision: String,
    },

    /// The repository does not have these files.
    #[error("`{name}` at `{revision}` has no {}; it has {}", list(.missing), some_of(.existing))]
    FilesNotFound {
        /// The name that was asked for.
        name: String,
        /// The revision that was asked for.
        revision: String,
        /// The names and patterns that match no file.
        missing: Vec<String>,
        /// The files of the repository.
        existing: Vec<String>,
    },

    /// The repository is for those who accepted its conditions, which is done on its page, and who send their token.
    #[error(
        "`{name}` is gated: {}",
        if *.token_given { "the token's owner was not given access" } else { "a token is needed, and there is none" }
    )]
    Gated {
        /// The name that was asked for.
        name: String,
        /// Whether a token was sent. If so, its owner has no access yet, or the token's own rights are too narrow.
        token_given: bool,
    },

    /// The hub wants a token (status 401), and there is none.
    #[error("{host} wants a token for `{name}`, and there is none")]
    TokenMissing {
        /// The name that was asked for.
        name: String,
        /// The hub.
        host: String,
    },

    /// The hub does not know the token (status 401): it is mistyped, revoked or of another hub.
    #[error("{host} refused the token that was sent for `{name}`{}", reason(.message))]
    TokenRefused {
        /// The name that was asked for.
        name: String,
        /// The hub.
        host: String,
        /// What the hub says about it; may be empty.
        message: String,
    },

    /// The hub knows who asks, and refuses (status 403).
    #[error("{host} refuses access to `{name}`{}", reason(.message))]
    Forbidden {
        /// The name that was asked for.
        name: String,
        /// The hub.
        host: String,
        /// What the hub says about it; may be empty.
        message: String,
    },

    /// An upload was asked for, and there is no token.
    #[error("an upload to `{name}` needs a token, and there is none")]
    TokenNeeded {
        /// The name of the repository.
        name: String,
    },

    /// An upload was asked for, but only the cache may be looked at.
    #[error("nothing is uploaded to `{name}` offline")]
    Offline {
        /// The name of the repository.
        name: String,
    },

    /// The hub knows who asks, and does not take an upload from them (status 403).
    #[error("{host} takes nothing for `{name}` with this token{}", reason(.message))]
    UploadRefused {
        /// The name of the repository.
        name: String,
        /// The hub.
        host: String,
        /// What the hub says about it; may be empty.
        message: String,
    },

    /// The repository was to be private, but it is there already and public.
    #[error("`{name}` is there already and public; nothing was uploaded")]
    NotPrivate {
        /// The name of the repository.
        name: String,
    },

    /// Nothing can be uploaded under this name.
    #[error("`{name}` is no repository of the hub, expected org/name or org/name@branch")]
    NoRepository {
        /// The name that was given.
        name: String,
    },

    /// The token cannot be sent: it has other characters than visible ASCII ones. It is not shown.
    #[error("the token has characters that no token has, such as a space or the end of a line inside it")]
    InvalidToken,

    /// The hub's address is none.
    #[error("`{0}` is not the address of a hub, expected such as https://huggingface.co, without a user or a query")]
    InvalidEndpoint(String),

    /// A variable names a proxy that is none. Its value is not shown: it may hold a password.
    #[error("{variable} is not the address of a proxy, expected such as http://proxy.example:3128")]
    InvalidProxy {
        /// The variable.
        variable: &'static str,
    },

    /// This machine lacks what a connection needs, such as the certificates of authorities.
    #[error("no connection can be made from this machine")]
    NoClient {
        /// What is missing.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// No connection, or one that broke or stalled, after all tries. What has arrived is kept for the next time.
    #[error("the connection to {host} failed")]
    Network {
        /// Who was to answer.
        host: String,
        /// What happened.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// The server answered with an error of its own, after all tries where trying again makes sense.
    #[error("{url} answered with status {status}{}", reason(.message))]
    Status {
        /// What was asked for.
        url: String,
        /// The status: 429 means too many requests, from 500 on the server has a problem.
        status: u16,
        /// What the server says about it; may be empty.
        message: String,
        /// How long the server wants to be left alone.
        retry_after: Option<Duration>,
    },

    /// The server's answer cannot be that of a hub.
    #[error("{url} did not answer as a hub does: {reason}")]
    BadAnswer {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },

    /// The server sends more or less than it announced.
    #[error("`{file}` should have {expected} bytes, but the server sends {got}")]
    WrongSize {
        /// The file's name in the repository.
        file: String,
        /// The size that the hub announced.
        expected: u64,
        /// The size of what the server sends.
        got: u64,
    },

    /// A file's content is not what the hub announced, twice in a row. It was deleted.
    #[error("`{file}` should have the hash {expected}, but what arrived has {got}")]
    WrongHash {
        /// The file's name in the repository.
        file: String,
        /// The hash that the hub announced.
        expected: String,
        /// The hash of what arrived.
        got: String,
    },

    /// The disk is full. What has arrived is kept for the next time.
    #[error("the disk is full: cannot write {}", .path.display())]
    DiskFull {
        /// The file or folder of the cache.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },

    /// A file or folder of the cache could not be written.
    #[error("cannot write {}", .path.display())]
    NotWritable {
        /// The file or folder of the cache.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },

    /// The file that keeps processes from writing the same file at once could not be locked.
    #[error("cannot lock {}", .path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
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

fn list(names: &[String]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// The first few of many names.
fn some_of(names: &[String]) -> String {
    match names {
        [] => "no files".into(),
        [first @ .., _] if first.len() < 10 => list(names),
        _ => format!("{} and {} more", list(&names[..10]), names.len() - 10),
    }
}

fn suggestion(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("; similar: {}", list(names)),
    }
}

fn reason(message: &str) -> String {
    match message {
        "" => String::new(),
        message => format!(": {message}"),
    }
}
