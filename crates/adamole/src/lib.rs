#![doc = include_str!("../README.md")]

pub use adamole_chat as chat;
pub use adamole_core as core;
pub use adamole_data as data;
pub use adamole_experiments as experiments;
pub use adamole_generate as generate;
pub use adamole_hub as hub;
pub use adamole_llama as llama;
pub use adamole_serve as serve;
pub use adamole_train as train;

// The program's modules import the library by name, as other programs do.
extern crate self as adamole;

/// Prints a message to stderr, unless another process of the run is the one that talks. Where it cannot be written, the
/// message is lost; `eprintln!` would panic.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        if !$crate::cli::ranks::is_silent() {
            let _ = writeln!(std::io::stderr(), $($part)*);
        }
    }};
}

mod cli;
pub mod device;
pub mod program;
mod stdout;
