//! The variables that programs of the hub heed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::HubError;
use crate::token::Token;

const NAMES: [&str; 7] =
    ["HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "XDG_CACHE_HOME"];

/// The variables of the hub that are set, and the user's home folder.
#[derive(Default)]
pub(crate) struct Variables {
    values: HashMap<&'static str, OsString>,
    home: Option<PathBuf>,
}

impl Variables {
    pub(crate) fn of_process() -> Self {
        Self::read(|name| std::env::var_os(name), std::env::home_dir())
    }

    fn read(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Self {
        // A variable that is set to nothing counts as unset.
        let set = |name| Some((name, variable(name).filter(|value| !value.is_empty())?));
        Self {
            values: NAMES.into_iter().filter_map(set).collect(),
            home: home.filter(|home| !home.as_os_str().is_empty()),
        }
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.values.get(name).map(PathBuf::from)
    }

    /// Where programs of the hub keep their files: `HF_HOME`, else `huggingface` in `XDG_CACHE_HOME` or `~/.cache`.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        let caches = || self.path("XDG_CACHE_HOME").or_else(|| Some(self.home.as_ref()?.join(".cache")));
        self.path("HF_HOME").or_else(|| Some(caches()?.join("huggingface")))
    }

    pub(crate) fn endpoint(&self) -> Result<Option<&str>, HubError> {
        let Some(value) = self.values.get("HF_ENDPOINT") else { return Ok(None) };
        let text = value.to_str().ok_or_else(|| HubError::InvalidEndpoint(value.to_string_lossy().into_owned()));
        text.map(Some)
    }

    /// The token in `HF_TOKEN`, else in the file `HF_TOKEN_PATH`, else in the file `token` in [`Self::home`].
    pub(crate) fn token(&self) -> Result<Option<Token>, HubError> {
        if let Some(value) = self.values.get("HF_TOKEN") {
            let text = value.to_str().ok_or(HubError::InvalidToken)?;
            if !text.trim().is_empty() {
                return Token::parse(text).map(Some);
            }
        }
        let Some(path) = self.path("HF_TOKEN_PATH").or_else(|| Some(self.home()?.join("token"))) else {
            return Ok(None);
        };
        match std::fs::read(&path) {
            Ok(bytes) if bytes.trim_ascii().is_empty() => Ok(None),
            Ok(bytes) => Token::parse(std::str::from_utf8(&bytes).map_err(|_| HubError::InvalidToken)?).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HubError::Io { path, source }),
        }
    }

    /// Whether `HF_HUB_OFFLINE` is `1`, `on`, `yes` or `true`, in any case.
    pub(crate) fn is_offline(&self) -> bool {
        let value = self.values.get("HF_HUB_OFFLINE").and_then(|value| value.to_str()).unwrap_or_default();
        ["1", "on", "yes", "true"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
    }

    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)], home: Option<&str>) -> Self {
        let find = |name: &str| variables.iter().find(|(variable, _)| *variable == name);
        Self::read(|name| find(name).map(|(_, value)| value.into()), home.map(PathBuf::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(variables: &[(&str, &str)]) -> Option<String> {
        Some(Variables::of(variables, None).token().unwrap()?.as_str().to_owned())
    }

    #[test]
    fn the_token_is_in_a_variable_or_a_file() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("token"), "of-home\n").unwrap();
        std::fs::write(path("other"), "of-file").unwrap();
        std::fs::write(path("empty"), "\n").unwrap();
        std::fs::write(path("broken"), "a\nb").unwrap();

        let (home, other) = (path(""), path("other"));
        let all = [("HF_TOKEN", " of-variable "), ("HF_TOKEN_PATH", &other), ("HF_HOME", &home)];
        assert_eq!(token(&all).unwrap(), "of-variable");
        assert_eq!(token(&all[1..]).unwrap(), "of-file");
        assert_eq!(token(&[("HF_TOKEN", " "), all[1]]).unwrap(), "of-file");
        assert_eq!(token(&all[2..]).unwrap(), "of-home");
        assert_eq!(token(&[]), None);
        assert_eq!(token(&[("HF_TOKEN_PATH", &path("empty"))]), None);
        assert_eq!(token(&[("HF_TOKEN_PATH", &path("none"))]), None);
        for broken in [[("HF_TOKEN", "a\nb")], [("HF_TOKEN_PATH", path("broken").as_str())]] {
            assert!(matches!(Variables::of(&broken, None).token(), Err(HubError::InvalidToken)));
        }
        let folder = Variables::of(&[("HF_TOKEN_PATH", &home)], None);
        assert!(matches!(folder.token(), Err(HubError::Io { .. })));
    }

    #[test]
    fn offline_is_a_yes() {
        for (value, expected) in [("1", true), ("True", true), ("yes", true), ("0", false), ("", false), ("no", false)]
        {
            assert_eq!(Variables::of(&[("HF_HUB_OFFLINE", value)], None).is_offline(), expected, "{value}");
        }
    }
}
