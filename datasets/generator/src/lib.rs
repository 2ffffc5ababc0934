//! The generator of the small world: sample rows of ten benchmarks, requests with their commands, and the corpus that the shipped
//! bases are pretrained on.
//!
//! All text is drawn by a seeded generator from a closed vocabulary, byte for byte the same on every machine;
//! `datasets/README.md` describes it.

mod benchmarks;
mod corpus;
mod facts;
mod lessons;
mod problem;
mod random;
mod requests;
mod samples;
mod stories;
mod world;

pub use corpus::{BASES, Base, write_corpus};
pub use requests::write_requests;
pub use samples::write_samples;
