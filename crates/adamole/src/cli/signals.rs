//! SIGINT and SIGTERM: the first makes a run drop its step and save, a second one ends the program at once.

use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// The signals that this process has received.
pub(crate) struct Signals {
    exit_code: Arc<AtomicUsize>,
}

impl Signals {
    /// Registers the handlers.
    pub(crate) fn follow() -> io::Result<Self> {
        let (exit_code, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
            // In this order: the first signal finds the flag down and raises it.
            flag::register_conditional_shutdown(signal, code, again.clone())?;
            flag::register(signal, again.clone())?;
            flag::register_usize(signal, exit_code.clone(), code as usize)?;
        }
        Ok(Self { exit_code })
    }

    /// The exit code of the signal that arrived, if one did: 130 or 143.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        u8::try_from(self.exit_code.load(Ordering::Relaxed)).ok().filter(|code| *code != 0)
    }
}
