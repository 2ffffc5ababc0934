//! The `adamole` program; its code is in the library.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    adamole::program::run()
}
