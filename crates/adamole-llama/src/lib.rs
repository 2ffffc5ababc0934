#![doc = include_str!("../README.md")]

mod adapter_config;
mod adapter_folder;
mod adapter_keys;
mod allocation;
mod attention;
mod base_folder;
mod chain;
mod config;
mod error;
mod generate;
mod layout;
mod loss;
mod merge;
mod mlp;
mod model;
mod norm;
mod parameters;
mod pickle_file;
mod rope;
mod tensor_file;

pub use adapter_folder::{KEY_PREFIX, load_adapter, save_adapter};
pub use adapter_keys::AdapterTensors;
pub use allocation::Allocation;
pub use attention::AttentionMask;
pub use base_folder::{load_base, save_base};
pub use chain::Chain;
pub use config::{Activation, Family, Llama3Rope, ModelConfig};
pub use error::{ModelError, TensorMismatch};
pub use generate::{Generation, Sampling, generate};
pub use layout::{AdapterLayout, TARGETS, Targets};
pub use loss::{cross_entropy, frozen_cross_entropy};
pub use merge::merge;
pub use model::{CausalLm, Decoder, KvCache};
pub use parameters::{ParameterKind, parameters};
pub use tensor_file::{TensorFile, write_tensors};
