//! The identity of a run: everything that its course depends on. Its checkpoints hold it.

use super::{
    fingerprint::RunFingerprint,
    settings::{Declared, Resolved},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Keys of the resolved configuration that are no part of a run's identity, besides the settings that do not change its
/// course. A benchmark's items are identified by their hash.
const APART: [&str; 2] = ["benchmark", "version"];

/// The resolved settings of a run, and hashes of base and data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    settings: Map<String, Value>,
    pub(crate) fingerprint: RunFingerprint,
}

impl Identity {
    pub(crate) fn new(config: &Resolved, fingerprint: &RunFingerprint) -> Self {
        Self { settings: settings(config), fingerprint: fingerprint.clone() }
    }

    /// The differences from `then`: settings by name, then base and data.
    pub(crate) fn changes_since(&self, then: &Self) -> Vec<String> {
        let mut changes = differences(&then.settings, &self.settings);
        changes.extend(self.fingerprint.changes_since(&then.fingerprint));
        changes
    }

    /// The form in which a checkpoint holds it.
    pub(crate) fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The settings in which `record`, the `config.json` of a run, differs from `config`.
pub(crate) fn contradictions(record: &Value, config: &Resolved) -> Vec<String> {
    record.as_object().map(|record| differences(record, &settings(config))).unwrap_or_default()
}

fn settings(config: &Resolved) -> Map<String, Value> {
    // By way of text, so that numbers of 32 bits are those that are read back.
    let text = serde_json::to_string(config).unwrap_or_default();
    let mut settings: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
    let is_free = |key: &str| Declared::named(key).is_some_and(|it| !it.setting.changes_course);
    settings.retain(|key, _| !is_free(key) && !APART.contains(&key.as_str()));
    settings
}

/// The differences in settings that both have: another version may have others.
fn differences(then: &Map<String, Value>, now: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (key, now) in now {
        match (then.get(key), now) {
            (None, _) => {}
            (Some(Value::Object(then)), Value::Object(now)) => found.extend(differences(then, now)),
            (Some(then), now) if then != now => found.push(format!("{key}: {then} -> {now}")),
            _ => {}
        }
    }
    found
}
