//! Readers of settings and of run directories.

use super::scratch::Scratch;
use adamole::{
    llama::CausalLm,
    program,
    train::{Checkpoint, RunDirectory, RunLock},
};

/// A checkpoint, and its state on a small model, with any digest.
pub(super) fn checkpoint(bytes: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    thread_local!(static MODEL: CausalLm = super::model::adapted_tiny());
    SCRATCH.with(|scratch| {
        let path = scratch.write("step-00000001.safetensors", bytes);
        drop(Checkpoint::read(&path));
        MODEL.with(|model| drop(Checkpoint::try_on(&path, model.clone())));
    });
}

/// A configuration file in TOML or, if it begins with `{`, the `settings.json` of a run.
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

/// `metrics.jsonl` of a resumed run.
pub(super) fn metrics(bytes: &[u8]) {
    thread_local!(static SCRATCH: Scratch = Scratch::new());
    SCRATCH.with(|scratch| {
        scratch.write("metrics.jsonl", bytes);
        drop(RunDirectory::recorded_steps(scratch.path()));
        if let Ok(lock) = RunLock::acquire(scratch.path()) {
            drop(RunDirectory::resume(lock, None));
        }
    });
}
