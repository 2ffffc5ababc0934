//! Calls into libraries that panic on some damaged files.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is within a call of which a panic becomes a [`DataError`](crate::DataError). The panic hook
/// of a program may keep quiet then: the error says what there is to say.
pub fn panics_are_caught() -> bool {
    GUARDED.get()
}

/// Runs `call`; of a panic the message.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(outer);
    result.map_err(|panic| {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        message.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "the reader gave up".into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_message_and_the_thread_goes_on() {
        assert_eq!(guarded(panics_are_caught), Ok(true));
        assert_eq!(guarded(|| -> u8 { panic!("no {}", 1) }), Err("no 1".into()));
        assert!(!panics_are_caught());
    }
}
