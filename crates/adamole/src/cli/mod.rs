//! The subcommands.

pub(crate) mod evaluate;
mod failure;
mod inputs;
mod output;
pub(crate) mod pretrain;
mod progress;
mod settings;
pub(crate) mod train;

pub(crate) use failure::Failure;
