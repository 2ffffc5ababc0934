//! Headings under which help shows flags: those of the groups of settings, and some more.

pub(super) const RUN: &str = "Base model and run";
pub(super) const DATA: &str = "Data";
pub(super) const OWN_TEXT: &str = "Text of one's own";
pub(super) const ADAPTER: &str = "Adapter";
pub(super) const TRAINING: &str = "Training";
pub(super) const PROMPT: &str = "Prompt";
pub(super) const SAMPLING: &str = "Sampling";
pub(super) const NETWORK: &str = "Network";
pub(super) const LIMITS: &str = "Limits";
pub(super) const OUTPUT: &str = "Output";
