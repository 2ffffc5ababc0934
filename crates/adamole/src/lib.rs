#![doc = include_str!("../README.md")]

pub use adamole_core as core;
pub use adamole_data as data;
pub use adamole_experiments as experiments;
pub use adamole_hub as hub;
pub use adamole_llama as llama;
pub use adamole_train as train;

// The program's modules name the library as every other program does.
extern crate self as adamole;

/// Talk on stderr. Where that takes no more, the talk is lost and the work goes on; `eprintln!` would panic.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($part)*);
    }};
}

mod cli;
pub mod device;
/// The program itself, which its tests call.
#[doc(hidden)]
pub mod program;
mod stdout;
