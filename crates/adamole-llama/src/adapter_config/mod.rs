//! `adapter_config.json`: the fields of HF PEFT for a plain LoRA, those of the published AdaMoLE implementation for gated
//! mixtures, and ours where they have none.
//!
//! Settings that differ from one linear to another follow PEFT's habit: the field holds the usual value, and a map
//! `<field>_pattern` the others, by the linear's name or a regular expression.

mod fields;
mod read;
mod targets;
mod write;

pub(crate) use read::RawAdapterConfig;
pub(crate) use write::to_json;

/// The newest form of our own fields.
const FORMAT_VERSION: u32 = 1;
