//! The content of a run's `config.json`: every setting and its origin, the machine and the program.

use super::{
    fingerprint::RunFingerprint,
    settings::{Resolved, Settings},
};
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, env::consts, thread};

/// The content of `config.json`.
#[derive(Serialize)]
pub(crate) struct Record<'a> {
    #[serde(flatten)]
    config: &'a Resolved,
    /// The origins of settings, `flag` or `file`; the others are defaults.
    origins: BTreeMap<String, &'static str>,
    fingerprint: &'a RunFingerprint,
    environment: Environment,
}

/// The program and the machine of a run.
#[derive(Serialize)]
struct Environment {
    version: &'static str,
    /// The commit that the program was built from, and whether its sources were changed since; absent where it was not
    /// built in a repository of git.
    revision: Option<&'static str>,
    changed: Option<bool>,
    system: &'static str,
    architecture: &'static str,
    threads: usize,
    /// Backends that are built in.
    backends: Vec<&'static str>,
}

impl<'a> Record<'a> {
    /// The record of a run with these settings, given by `flags` and in the `file`; `old` is its former `config.json`.
    pub(crate) fn new(
        (config, fingerprint): (&'a Resolved, &'a RunFingerprint),
        (flags, file): (&Settings, &Settings),
        old: Option<&Value>,
    ) -> Self {
        let given = |settings: &Settings, origin| {
            settings.iter().map(|(name, _)| (name.to_owned(), origin)).collect::<Vec<_>>()
        };
        let before = old.and_then(|old| old.get("origins")?.as_object()).into_iter().flatten();
        let before = before.map(|(key, from)| (key.clone(), if from == "file" { "file" } else { "flag" }));
        // A flag wins over the file.
        let origins = before.chain(given(file, "file")).chain(given(flags, "flag")).collect();
        let backends = [
            (cfg!(feature = "flex"), "flex"),
            (cfg!(feature = "wgpu"), "wgpu"),
            (cfg!(feature = "vulkan"), "vulkan"),
            (cfg!(feature = "cuda"), "cuda"),
        ];
        Self {
            config,
            origins,
            fingerprint,
            environment: Environment {
                version: env!("CARGO_PKG_VERSION"),
                revision: Some(env!("ADAMOLE_REVISION")).filter(|revision| !revision.is_empty()),
                changed: env!("ADAMOLE_CHANGED").parse().ok(),
                system: consts::OS,
                architecture: consts::ARCH,
                threads: thread::available_parallelism().map_or(1, |threads| threads.get()),
                backends: backends.into_iter().filter_map(|(built_in, name)| built_in.then_some(name)).collect(),
            },
        }
    }
}
