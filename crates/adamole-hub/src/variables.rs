//! The variables of programs of the hub, and the token.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use crate::{Cache, HubError};

/// A token that can be sent, and that `Debug` does not show.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// Takes visible ASCII. Space around it, such as the end of a line, does not count.
    pub(crate) fn parse(text: &str) -> Result<Self, HubError> {
        match text.trim() {
            text if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Self(text.into())),
            _ => Err(HubError::InvalidToken),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// A variable that is set to nothing counts as unset.
fn value(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The folder of programs of the hub: `HF_HOME`, else `huggingface` in `XDG_CACHE_HOME` or `~/.cache`.
fn home() -> Option<PathBuf> {
    let home = || env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let caches = || value("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".cache")));
    value("HF_HOME").map(PathBuf::from).or_else(|| Some(caches()?.join("huggingface")))
}

/// `HF_HUB_CACHE`, else `hub` in the folder of programs of the hub.
pub(crate) fn cache() -> Option<Cache> {
    value("HF_HUB_CACHE").map(PathBuf::from).or_else(|| Some(home()?.join("hub"))).map(Cache::new)
}

pub(crate) fn endpoint() -> Option<String> {
    value("HF_ENDPOINT").map(|value| value.to_string_lossy().into_owned())
}

/// The token in `HF_TOKEN`, else in the file `HF_TOKEN_PATH`, else in the file `token` in the folder of programs of the hub.
pub(crate) fn token() -> Result<Option<Token>, HubError> {
    let parse = |text: Option<&str>| Token::parse(text.ok_or(HubError::InvalidToken)?).map(Some);
    if let Some(value) = value("HF_TOKEN").filter(|value| !value.as_encoded_bytes().trim_ascii().is_empty()) {
        return parse(value.to_str());
    }
    let file = value("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| Some(home()?.join("token")));
    let Some(path) = file else { return Ok(None) };
    match std::fs::read(&path) {
        Ok(bytes) if bytes.trim_ascii().is_empty() => Ok(None),
        Ok(bytes) => parse(std::str::from_utf8(&bytes).ok()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HubError::Io { path, source }),
    }
}

/// Whether `HF_HUB_OFFLINE` is `1`, `on`, `yes` or `true`, in any case.
pub(crate) fn is_offline() -> bool {
    let value = value("HF_HUB_OFFLINE").unwrap_or_default();
    ["1", "on", "yes", "true"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}
