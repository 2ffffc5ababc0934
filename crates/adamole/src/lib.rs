#![doc = include_str!("../README.md")]

pub use adamole_core as core;
pub use adamole_data as data;
pub use adamole_experiments as experiments;
pub use adamole_hub as hub;
pub use adamole_llama as llama;
pub use adamole_train as train;

pub mod device;
