//! Readers of what runs are begun with and leave behind.

use super::scratch::Scratch;
use adamole::{
    program,
    train::{Checkpoint, RunDirectory},
};

/// A checkpoint.
pub(super) fn checkpoint(bytes: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(|scratch| drop(Checkpoint::read(&scratch.write("step-00000001.safetensors", bytes))));
}

/// A configuration file, or with a `{` at its beginning the `settings.json` of a run.
pub(super) fn run_config(bytes: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(|scratch| match bytes.first() {
        Some(b'{') => {
            scratch.write("settings.json", bytes);
            drop(program::check_settings(scratch.path()));
        }
        _ => drop(program::check_settings(&scratch.write("run.toml", bytes))),
    });
}

/// `metrics.jsonl` of a run that goes on.
pub(super) fn metrics(bytes: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(|scratch| {
        scratch.write("metrics.jsonl", bytes);
        drop(RunDirectory::resume(scratch.path(), None));
    });
}
