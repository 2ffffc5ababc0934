//! Settings as keys of a TOML file.

use super::{Declared, Settings};
use adamole::core::{SettingError, SettingKind, SettingMap};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};
use toml::Spanned;

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// It cannot be read.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// It is not TOML.
    #[error("{}: {}", path.display(), source.to_string().trim_end())]
    Toml { path: PathBuf, source: toml::de::Error },
    /// It has a section, which no setting is in.
    #[error("{}:{line}:{column}: [{name}] is a section; settings stand in none", path.display())]
    Section { path: PathBuf, line: usize, column: usize, name: String },
    /// One of its settings is not valid.
    #[error("{}:{line}:{column}: {source}", path.display())]
    Setting { path: PathBuf, line: usize, column: usize, source: SettingError },
}

/// A configuration file.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) settings: Settings,
    /// The line of each setting, counted from 1.
    pub(crate) lines: BTreeMap<String, usize>,
}

impl Settings {
    /// The settings of a [`ConfigFile`].
    ///
    /// # Errors
    /// Those of [`ConfigFile::read`].
    pub(crate) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        ConfigFile::read(path).map(|file| file.settings)
    }
}

impl ConfigFile {
    /// Reads a TOML file with the names of settings as keys.
    ///
    /// # Errors
    /// It cannot be read, a key is unknown, or a value is not valid for its setting; line and column are named.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        let entries: BTreeMap<Spanned<String>, Spanned<toml::Value>> =
            toml::from_str(&text).map_err(|source| ConfigError::Toml { path: path.to_owned(), source })?;
        let line_of = |offset: usize| text[..offset].matches('\n').count() + 1;
        let place_of = |offset: usize| {
            let start = text[..offset].rfind('\n').map_or(0, |end| end + 1);
            (line_of(offset), text[start..offset].chars().count() + 1)
        };
        let at = |offset: usize, source| {
            let (line, column) = place_of(offset);
            ConfigError::Setting { path: path.to_owned(), line, column, source }
        };
        let (mut given, mut lines) = (SettingMap::new(), BTreeMap::new());
        for (key, value) in entries {
            let name = key.get_ref();
            if value.get_ref().is_table() && Declared::named(name).is_none() {
                let (line, column) = place_of(key.span().start);
                return Err(ConfigError::Section { path: path.to_owned(), line, column, name: name.clone() });
            }
            let it = Declared::named(name).ok_or_else(|| at(key.span().start, Declared::unknown(name)))?;
            let place = value.span().start;
            let value =
                it.setting.check(&json(value.into_inner(), it.setting.kind())).map_err(|error| at(place, error))?;
            lines.insert(name.clone(), line_of(key.span().start));
            given.insert(name.clone(), value);
        }
        Ok(Self { settings: Settings(given), lines })
    }
}

/// A value as JSON; a number that is not finite, which JSON does not have, as its name.
fn json(value: toml::Value, kind: SettingKind) -> Value {
    match value {
        toml::Value::Float(number) if kind == SettingKind::Number && !number.is_finite() => number.to_string().into(),
        value => serde_json::to_value(value).unwrap_or_default(),
    }
}
