//! What a server takes on.

use adamole_llama::BlockCache;
use std::time::Duration;

/// The bounds of a server's memory, work and patience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most texts that share steps.
    pub active: usize,
    /// The most texts that wait beside them; further requests are told to try again later.
    pub waiting: usize,
    /// The most tokens of prompts that a step reads, so that a long prompt does not hold up other texts.
    pub step_tokens: usize,
    /// The positions whose keys and values are kept; memory for them is taken as they are used.
    pub positions: usize,
    /// The longest text, prompt and new tokens together.
    pub text_tokens: usize,
    /// The time that a request may take.
    pub time: Duration,
    /// The largest body of a request, in bytes.
    pub body: usize,
}

impl Limits {
    /// The blocks of the cache.
    pub(crate) fn blocks(&self) -> usize {
        self.positions.div_ceil(BlockCache::BLOCK)
    }

    /// The longest text that the cache and the limit allow.
    pub(crate) fn longest(&self) -> usize {
        self.text_tokens.min(self.blocks() * BlockCache::BLOCK)
    }
}
