#![doc = include_str!("../README.md")]

mod adapter_folder;
mod adapter_keys;
mod attention;
mod base_folder;
mod config;
mod error;
mod loss;
mod mlp;
mod model;
mod norm;
mod parameters;
mod rope;
mod tensor_file;

pub use adapter_folder::{AdapterSpec, load_adapter, save_adapter};
pub use adapter_keys::AdapterTensors;
pub use attention::AttentionMask;
pub use base_folder::{load_base, save_base};
pub use config::ModelConfig;
pub use error::{ModelError, TensorMismatch};
pub use loss::{cross_entropy, frozen_cross_entropy};
pub use model::{CausalLm, Decoder, TARGETS, Targets};
pub use parameters::{ParameterKind, parameters};
pub use tensor_file::{TensorFile, write_tensors};
