//! What happens while files are fetched or put onto the hub.

use std::path::Path;
use std::time::Duration;

use crate::HubError;

/// A step of [`Hub::fetch`](crate::Hub::fetch) or `Hub::push`, for a program to show. Sizes are in bytes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// So much is not in the cache yet. Without this event, nothing is transferred.
    Planned {
        /// How many files.
        files: usize,
        /// The size of all of them, including what an earlier, broken transfer has left.
        bytes: u64,
    },
    /// The transfer of a file begins, or begins again after it broke.
    Started {
        /// The file's name in the repository.
        file: &'a str,
        /// What is there from an earlier, broken transfer; 0 is the start of the file.
        offset: u64,
        /// The size of the whole file.
        total: u64,
    },
    /// More of a file is there.
    Advanced {
        /// The file's name in the repository.
        file: &'a str,
        /// How much of the file is there.
        done: u64,
        /// The size of the whole file.
        total: u64,
    },
    /// The file is complete and its hash is being taken.
    Verifying {
        /// The file's name in the repository.
        file: &'a str,
    },
    /// The file is in the cache.
    Finished {
        /// The file's name in the repository.
        file: &'a str,
    },
    /// Another process is fetching this file; this one waits for it.
    Waiting {
        /// The file's name in the repository.
        file: &'a str,
    },
    /// So much of an upload has been sent.
    Uploading {
        /// How much.
        done: u64,
        /// The size of all files.
        total: u64,
    },
    /// Something failed that may succeed if it is tried again, which will be done after a while.
    Retrying {
        /// What failed.
        error: &'a HubError,
        /// How long this waits before it tries again.
        delay: Duration,
    },
    /// The hub did not answer, so that what the cache has is taken. It may be older than what the hub has.
    UsingCache {
        /// Why the hub could not be asked.
        error: &'a HubError,
        /// The folder that is taken.
        snapshot: &'a Path,
    },
}

/// The callback that is told of events.
pub(crate) type Progress<'a> = dyn FnMut(Event<'_>) + 'a;
