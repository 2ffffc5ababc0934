//! The program's standard output, unless it is closed.
//!
//! Rust opens `/dev/null` in place of a standard stream that is closed when a program starts, so that no file opened later
//! gets its number. A result would be lost there silently; so whether stdout is open is checked before.

use std::{
    io::{self, StdoutLock},
    sync::atomic::{AtomicBool, Ordering},
};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Called by the system before Rust's own start.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = {
    extern "C" fn look() {
        // SAFETY: reads the flags of a descriptor, which may be closed.
        CLOSED.store(unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1, Ordering::Relaxed);
    }
    look
};

/// The standard output.
///
/// # Errors
/// It was closed when the program started.
pub(crate) fn open() -> io::Result<StdoutLock<'static>> {
    match CLOSED.load(Ordering::Relaxed) {
        true => Err(io::Error::new(io::ErrorKind::NotConnected, "it is closed")),
        false => Ok(io::stdout().lock()),
    }
}
