//! Settings as keys of a TOML file.

use super::{Declared, Settings};
use adamole::core::{SettingError, SettingMap};
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
    /// It cannot be read, a key is no setting, or a value is not one of its setting; the place is named.
    pub(crate) fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        let entries: BTreeMap<Spanned<String>, Spanned<Value>> =
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
            let value = it.setting.check(value.get_ref()).map_err(|error| at(value.span().start, error))?;
            given.insert(name.clone(), value);
        }
        Ok(Self(given))
    }
}
