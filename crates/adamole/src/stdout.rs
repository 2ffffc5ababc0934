//! The program's standard output, where it is there to be written.
//!
//! Rust opens `/dev/null` in place of a standard stream that is closed when a program starts, so that nothing that it opens
//! later gets in its place. A result would go there without a word; so whether there is a stdout is looked up before.

use std::{
    io::{self, StdoutLock},
    sync::atomic::{AtomicBool, Ordering},
};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Run by the system before Rust's own start.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = {
    extern "C" fn look() {
        // SAFETY: asks for the flags of a descriptor, whether it is open or not.
        CLOSED.store(unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1, Ordering::Relaxed);
    }
    look
};

/// stdout.
///
/// # Errors
/// It was closed when the program started.
pub(crate) fn open() -> io::Result<StdoutLock<'static>> {
    match CLOSED.load(Ordering::Relaxed) {
        true => Err(io::Error::new(io::ErrorKind::NotConnected, "it is closed")),
        false => Ok(io::stdout().lock()),
    }
}
