//! What an engineer with a Burn model of their own asks of the crate.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod linear;
mod registry;
mod store;
