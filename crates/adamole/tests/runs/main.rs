//! Runs that are killed, stopped, damaged, mixed up and resumed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(unix)]

mod changed;
mod in_use;
mod lost;
#[cfg(target_os = "linux")]
#[path = "../../../adamole-hub/tests/fetching/mount.rs"]
mod mount;
mod resume;
mod scene;
mod stopped;
