//! Calls into libraries that panic on some damaged files.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Sets a panic hook that prints nothing about panics which are caught and returned as a [`DataError`](crate::DataError), and
/// leaves others to the present hook. For programs; a library should not set hooks.
pub fn silence_caught_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !GUARDED.get() {
            hook(panic);
        }
    }));
}

/// A panic of a library, with its message.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the library gave up: {0}")]
pub(crate) struct Panicked(String);

/// Runs `call` and catches its panic.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(outer);
    result.map_err(|panic| {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Panicked(message.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "no message".into()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_message_and_the_thread_goes_on() {
        assert_eq!(guarded(|| GUARDED.get()), Ok(true));
        assert_eq!(guarded(|| -> u8 { panic!("no {}", 1) }), Err(Panicked("no 1".into())));
        assert!(!GUARDED.get());
    }
}
