//! Going on with a run: with the settings, the base and the data that it was begun with.

use super::{Failure, fingerprint::Fingerprint, reading::ReadingSettings, settings::Settings};
use adamole::train::RunDirectory;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Settings that do not change the course of a run.
const FREE: [&str; 6] = ["output", "device", "workers", "token_cache", "checkpoint_every", "keep_checkpoints"];

/// What a run was begun with; its `settings.json`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(crate) settings: Settings,
    pub(crate) reading: ReadingSettings,
    pub(crate) fingerprint: Fingerprint,
}

impl Begun {
    pub(crate) fn new(settings: &Settings, fingerprint: &Fingerprint) -> Self {
        Self { settings: settings.clone(), reading: settings.reading.clone(), fingerprint: fingerprint.clone() }
    }

    pub(crate) fn read(run: &Path) -> Result<Self, Failure> {
        Ok(RunDirectory::settings(run)?)
    }

    /// The settings to go on with: those of the run, where `now` gives no others.
    ///
    /// # Errors
    /// One of `now` differs and changes the course of the run, unless `allow_changes`.
    pub(crate) fn settings(&self, now: Settings, run: &Path, allow_changes: bool) -> Result<Settings, Failure> {
        let then = self.all();
        let (old, new) = (then.fields(), now.fields());
        let differs = |(key, value): &(&String, &Value)| {
            !value.is_null() && old.get(*key) != Some(value) && !FREE.contains(&key.as_str())
        };
        let shown = |(key, value): (&String, &Value)| {
            let old = old.get(key).filter(|old| !old.is_null()).map_or_else(|| "default".into(), Value::to_string);
            format!("{key}: {old} -> {value}")
        };
        let changes: Vec<String> = new.iter().filter(differs).map(shown).collect();
        refuse(changes, allow_changes)?;
        Ok(Settings { output: Some(run.to_owned()), ..now.or(then) })
    }

    /// Checks that base and data are those of the run.
    pub(crate) fn check(&self, now: &Fingerprint, allow_changes: bool) -> Result<(), Failure> {
        refuse(now.changes_since(&self.fingerprint), allow_changes)
    }

    fn all(&self) -> Settings {
        Settings { reading: self.reading.clone(), ..self.settings.clone() }
    }
}

fn refuse(changes: Vec<String>, allow_changes: bool) -> Result<(), Failure> {
    match (changes.is_empty(), allow_changes) {
        (true, _) => Ok(()),
        (false, true) => {
            eprintln!("warning: changed since the run began: {}", changes.join("; "));
            Ok(())
        }
        (false, false) => Err(Failure::Usage(format!(
            "changed since the run began: {}; --allow-changes goes on all the same",
            changes.join("; ")
        ))),
    }
}
