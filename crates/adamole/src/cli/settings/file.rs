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
    /// One of its settings is not valid.
    #[error("{}:{line}:{column}: {source}", path.display())]
    Setting { path: PathBuf, line: usize, column: usize, source: SettingError },
}

impl Settings {
    /// Reads a TOML file with the names of settings as keys.
    ///
    /// # Errors
    /// It cannot be read, a key is unknown, or a value is not valid for its setting; line and column are named.
    pub(crate) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        let entries: BTreeMap<Spanned<String>, Spanned<toml::Value>> =
            toml::from_str(&text).map_err(|source| ConfigError::Toml { path: path.to_owned(), source })?;
        let at = |offset: usize, source| {
            let before = &text[..offset];
            let start = before.rfind('\n').map_or(0, |end| end + 1);
            let (line, column) = (before.matches('\n').count() + 1, before[start..].chars().count() + 1);
            ConfigError::Setting { path: path.to_owned(), line, column, source }
        };
        let mut given = SettingMap::new();
        for (key, value) in entries {
            let name = key.get_ref();
            let it = Declared::named(name).ok_or_else(|| at(key.span().start, Declared::unknown(name)))?;
            let place = value.span().start;
            let value =
                it.setting.check(&json(value.into_inner(), it.setting.kind())).map_err(|error| at(place, error))?;
            given.insert(name.clone(), value);
        }
        Ok(Self(given))
    }
}

/// A value as JSON; a number that is not finite, which JSON does not have, as its name.
fn json(value: toml::Value, kind: SettingKind) -> Value {
    match value {
        toml::Value::Float(number) if kind == SettingKind::Number && !number.is_finite() => number.to_string().into(),
        value => serde_json::to_value(value).unwrap_or_default(),
    }
}
