//! Ctrl-C: the first stops an answer, a second one ends the program, as one between answers does.

use signal_hook::{consts::SIGINT, flag};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Whether there was a SIGINT.
pub(super) struct Interrupt {
    stop: Arc<AtomicBool>,
    /// Whether the next one ends the program.
    ends: Arc<AtomicBool>,
}

impl Interrupt {
    /// Registers the handler.
    pub(super) fn follow() -> io::Result<Self> {
        let (stop, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        // In this order: the first signal during an answer finds the flag down and raises it.
        flag::register_conditional_shutdown(SIGINT, 130, ends.clone())?;
        flag::register(SIGINT, ends.clone())?;
        flag::register(SIGINT, stop.clone())?;
        Ok(Self { stop, ends })
    }

    /// An answer begins: the next signal stops it.
    pub(super) fn arm(&self) {
        self.stop.store(false, Ordering::Relaxed);
        self.ends.store(false, Ordering::Relaxed);
    }

    /// The answer has ended: the next signal ends the program.
    pub(super) fn disarm(&self) {
        self.ends.store(true, Ordering::Relaxed);
    }

    /// Whether the answer is to stop.
    pub(super) fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
