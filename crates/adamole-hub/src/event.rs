//! Progress of a download or an upload.

use std::path::Path;
use std::time::Duration;

use crate::HubError;

/// A step of [`Hub::fetch`](crate::Hub::fetch) or `Hub::push`, for a program to show. Sizes are in bytes, and `file` is the
/// name in the repository.
#[derive(Debug)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are described with their variants")]
pub enum Event<'a> {
    /// What the cache lacks, with the size of the whole files. Without this event, nothing is transferred.
    Planned { files: usize, bytes: u64 },
    /// The transfer of a file of size `total` begins, or continues at `offset` after it broke.
    Started { file: &'a str, offset: u64, total: u64 },
    /// The first `done` bytes of a file are there.
    Advanced { file: &'a str, done: u64, total: u64 },
    /// The file is complete, and its hash is being computed.
    Verifying { file: &'a str },
    /// The file is in the cache.
    Finished { file: &'a str },
    /// Another process is downloading this file; this one waits for it.
    Waiting { file: &'a str },
    /// The first `done` bytes of an upload are sent.
    Uploading { done: u64, total: u64 },
    /// A request failed and is tried again after `delay`.
    Retrying { error: &'a HubError, delay: Duration },
    /// The hub did not answer, and the snapshot in the cache is taken. It may be out of date.
    UsingCache { error: &'a HubError, snapshot: &'a Path },
}

/// The callback that receives events.
pub(crate) type Progress<'a> = dyn FnMut(Event<'_>) + 'a;
