//! SIGINT and SIGTERM: the first makes a run drop its step and save. A second SIGINT ends the program at once; further SIGTERMs do
//! not, since schedulers send them to every process of a job, and its processes to each other.

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
    number: Arc<AtomicUsize>,
}

impl Signals {
    /// Registers the handlers.
    pub(crate) fn follow() -> io::Result<Self> {
        let (number, again) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        // In this order: the first signal finds the flag down and raises it.
        flag::register_conditional_shutdown(SIGINT, exit_code(SIGINT), again.clone())?;
        for signal in [SIGINT, SIGTERM] {
            flag::register(signal, again.clone())?;
            flag::register_usize(signal, number.clone(), signal.unsigned_abs() as usize)?;
        }
        Ok(Self { number })
    }

    /// The number of the signal that arrived, 0 before.
    pub(crate) fn number(&self) -> Arc<AtomicUsize> {
        self.number.clone()
    }

    /// The exit code of the signal that arrived, if one did: 130 or 143.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        let signal = i32::try_from(self.number.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)?;
        u8::try_from(exit_code(signal)).ok()
    }
}

/// 128 and the number of the signal, as shells have it.
const fn exit_code(signal: i32) -> i32 {
    128 + signal
}
