//! What asks a hub. Without it, the crate knows folders and the cache.

mod client;
mod etag;
mod fetch;
mod folder;
pub(crate) mod proxy;
mod push;
mod refusal;
mod remote;
mod transfer;
mod tries;
mod xet;

use std::io::ErrorKind;
use std::path::Path;

use crate::HubError;

impl HubError {
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
