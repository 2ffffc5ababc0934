//! The `adamole` program; the library holds it, beside what it is made of.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    adamole::program::run()
}
