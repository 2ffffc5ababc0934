//! What the fuzz targets share: they differ in the reader alone.

use adamole_tests::outside::{Metered, Reader};
use std::{
    panic::{self, AssertUnwindSafe},
    sync::Mutex,
};

pub use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: Metered = Metered;

static PANIC: Mutex<String> = Mutex::new(String::new());

/// libFuzzer's hook ends the program at every panic, those that a reader catches included. This one keeps what it says.
pub fn keep_panics() {
    panic::set_hook(Box::new(|panic| {
        if let Ok(mut last) = PANIC.lock() {
            *last = panic.to_string();
        }
    }));
}

/// Hands the bytes to the reader of this name; a panic that leaves it ends the program.
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
