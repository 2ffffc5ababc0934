//! Training on text of one's own, seen from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod items;
mod refused;
mod runs;
mod scene;
mod shapes;
