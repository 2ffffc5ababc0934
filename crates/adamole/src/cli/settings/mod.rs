//! The settings of a run: declared once, given as flags and in a configuration file, merged by name, and resolved to the
//! structs that the steps of a run use.

mod declared;
mod file;
mod flags;
mod resolved;

pub(crate) use declared::{Declared, Group, check_names, declared, groups};
pub(crate) use file::{ConfigError, ConfigFile};
pub(crate) use flags::{FlagSet, Flags};
pub(crate) use resolved::Resolved;

use super::reading::Reading;
use adamole::core::{SettingError, SettingGroup, SettingMap};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Settings that are given, by name; the values are those of their types, in the form in which they are recorded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Halves", into = "Halves")]
pub(crate) struct Settings(SettingMap);

/// Whether a value is a path, by itself and by what is at that place.
type IsPath = fn(&str, &Path) -> bool;

/// Settings whose values may be paths.
const PATHS: [(&str, IsPath); 7] = [
    ("model", |_, place| place.is_dir()),
    ("data", |_, place| place.exists()),
    ("validation_data", |_, place| place.exists()),
    ("text_fields", |_, place| place.is_file()),
    ("chat_template", |_, place| place.is_file()),
    ("benchmark", |_, place| place.extension().is_some_and(|it| it == "toml") && place.is_file()),
    ("token_cache", |value, _| value != "off"),
];

impl Settings {
    /// The reference implementation's values of the settings in which ours may differ.
    pub(crate) fn reference() -> Self {
        let value = |it: &Declared| Some((it.setting.name.to_owned(), it.setting.reference_value()?));
        Self(declared().filter_map(value).collect())
    }

    /// These settings and, of those that are not given, `other`'s.
    pub(crate) fn or(mut self, other: Self) -> Self {
        for (name, value) in other.0 {
            self.0.entry(name).or_insert(value);
        }
        self
    }

    /// The same with one value more.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// The settings that are given, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(crate) fn map(&self) -> &SettingMap {
        &self.0
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The same with paths from `folder`: relative ones that lead to something there. A name may be one on the hub.
    pub(crate) fn located_in(mut self, folder: &Path) -> Self {
        for (name, is_path) in PATHS {
            let Some(Value::String(path)) = self.0.get_mut(name) else { continue };
            let place = folder.join(&*path);
            if Path::new(path).is_relative() && is_path(path, &place) {
                *path = place.display().to_string();
            }
        }
        self
    }
}

/// Settings as `settings.json` holds them: those of the data are an object of their own, and null is what is not given.
#[derive(Serialize, Deserialize)]
struct Halves {
    settings: SettingMap,
    reading: SettingMap,
}

impl From<Settings> for Halves {
    fn from(given: Settings) -> Self {
        let all =
            declared().map(|it| (it.setting.name.to_owned(), given.get(it.setting.name).cloned().unwrap_or_default()));
        let (reading, settings) = all.partition(|(name, _)| Reading::SETTINGS.iter().any(|own| own.name == name));
        Self { settings, reading }
    }
}

impl TryFrom<Halves> for Settings {
    type Error = SettingError;

    /// Settings that this version does not have are passed over.
    fn try_from(Halves { settings, reading }: Halves) -> Result<Self, SettingError> {
        let all = settings.into_iter().chain(reading).filter(|(_, value)| !value.is_null());
        let known = all.filter_map(|(name, value)| Some((Declared::named(&name)?, name, value)));
        let given = known.map(|(it, name, value)| Ok((name, it.setting.check(&value)?)));
        given.collect::<Result<_, _>>().map(Self)
    }
}
