//! Shared parts of the fuzz targets, which differ in the reader.

use adamole_tests::outside::{Metered, Reader};
use std::{
    panic::{self, AssertUnwindSafe},
    sync::Mutex,
};

pub use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: Metered = Metered;

static PANIC: Mutex<String> = Mutex::new(String::new());

/// Replaces the panic hook of libFuzzer, which ends the program even if the reader catches the panic. This hook keeps the
/// message.
pub fn keep_panics() {
    panic::set_hook(Box::new(|panic| {
        if let Ok(mut last) = PANIC.lock() {
            *last = panic.to_string();
        }
    }));
}

/// Calls the reader of this name. A panic that the reader does not catch ends the program.
pub fn read(name: &str, bytes: &[u8]) {
    if panic::catch_unwind(AssertUnwindSafe(|| Reader::named(name).read(bytes))).is_err() {
        eprintln!("{}", PANIC.lock().map_or_else(|_| String::new(), |last| last.clone()));
        std::process::abort();
    }
}

/// A fuzz target for the reader of this name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        $crate::fuzz_target!(init: $crate::keep_panics(), |bytes: &[u8]| $crate::read($name, bytes));
    };
}
