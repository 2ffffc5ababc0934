//! The subcommands.

pub(crate) mod evaluate;
pub(crate) mod export;
mod failure;
pub(crate) mod generate;
mod inputs;
mod output;
pub(crate) mod pretrain;
mod progress;
mod settings;
pub(crate) mod trace;
pub(crate) mod train;

pub(crate) use failure::Failure;
