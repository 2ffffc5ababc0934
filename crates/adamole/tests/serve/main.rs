//! The server, seen by a client.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod client;
mod limits;
mod scene;
mod texts;
