//! The subcommands.

mod adapter_settings;
pub(crate) mod bench;
#[cfg_attr(not(feature = "hub"), allow(dead_code, reason = "cards of merged models are for the hub"))]
mod card;
mod chat;
mod chat_prompt;
mod compat;
pub(crate) mod config;
pub(crate) mod conversation;
mod data_hints;
pub(crate) mod devices;
pub(crate) mod estimate;
pub(crate) mod evaluate;
pub(crate) mod experiments;
pub(crate) mod export;
mod failure;
pub(crate) mod fetch;
mod fetching;
mod fingerprint;
pub(crate) mod generate;
mod identity;
mod inputs;
pub(crate) mod inspect;
mod inspect_page;
pub(crate) mod items;
mod memory;
mod method_name;
mod model_hint;
mod output;
mod own_text;
mod prepare;
pub(crate) mod pretrain;
mod progress;
#[cfg(feature = "hub")]
pub(crate) mod push;
pub(crate) mod ranks;
mod reading;
mod record;
mod report;
pub(crate) mod resume;
mod routing;
mod routing_page;
mod row_encoder;
mod run_data;
mod sampling;
pub(crate) mod serve;
pub(crate) mod settings;
mod signals;
pub(crate) mod template;
pub(crate) mod trace;
pub(crate) mod train;
mod weights;

pub(crate) use failure::Failure;
