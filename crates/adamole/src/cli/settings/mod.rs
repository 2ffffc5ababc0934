//! The settings of a run: declared once, given as flags and in a configuration file, merged by name, and resolved to the
//! structs that the steps of a run use.

mod declared;
mod file;
mod flags;
mod resolved;

pub(crate) use declared::{Declared, Group, declared, groups};
pub(crate) use file::ConfigError;
pub(crate) use flags::{FlagSet, Flags};
pub(crate) use resolved::Resolved;

use super::reading::Reading;
use adamole::core::{SettingGroup, SettingMap};
use serde::{Deserialize, Serialize, Serializer, de, ser::SerializeMap};
use serde_json::Value;
use std::path::Path;

/// Settings that are given, by name; the values are those of their types, in the form in which they are recorded.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Settings(SettingMap);

/// Settings whose values may be paths, and whether a value is one, by itself and by what is at that place.
const PATHS: [(&str, fn(&str, &Path) -> bool); 4] = [
    ("model", |_, place| place.is_dir()),
    ("data", |_, place| place.is_dir()),
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

/// The halves of `settings.json`: the settings of the data are an object of their own.
const HALVES: [&str; 2] = ["settings", "reading"];

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut file = serializer.serialize_map(Some(HALVES.len()))?;
        for half in HALVES {
            file.serialize_entry(half, &Half { settings: self, half })?;
        }
        file.end()
    }
}

/// Half of the settings, those that are not given as null.
struct Half<'a> {
    settings: &'a Settings,
    half: &'a str,
}

impl Serialize for Half<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let is_reading = |name: &str| Reading::SETTINGS.iter().any(|setting| setting.name == name);
        let names = declared().map(|it| it.setting.name);
        let names = names.filter(|name| is_reading(name) == (self.half == "reading"));
        serializer.collect_map(names.map(|name| (name, self.settings.get(name))))
    }
}

impl<'de> Deserialize<'de> for Settings {
    /// Settings that this version does not have are passed over.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Halves {
            settings: SettingMap,
            reading: SettingMap,
        }
        let Halves { settings, reading } = Halves::deserialize(deserializer)?;
        let mut given = SettingMap::new();
        for (name, value) in settings.into_iter().chain(reading) {
            if let (Some(it), false) = (Declared::named(&name), value.is_null()) {
                given.insert(name, it.setting.check(&value).map_err(de::Error::custom)?);
            }
        }
        Ok(Self(given))
    }
}
