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

/// The variables of a process, and the user's home folder.
pub(crate) struct Variables<'a> {
    get: Box<dyn Fn(&str) -> Option<OsString> + 'a>,
    home: Option<PathBuf>,
}

impl Variables<'_> {
    pub(crate) fn of_process() -> Self {
        Self { get: Box::new(|name| env::var_os(name)), home: env::home_dir() }
    }

    /// A variable that is set to nothing counts as unset.
    fn value(&self, name: &str) -> Option<OsString> {
        (self.get)(name).filter(|value| !value.is_empty())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }

    /// The folder of programs of the hub: `HF_HOME`, else `huggingface` in `XDG_CACHE_HOME` or `~/.cache`.
    fn home(&self) -> Option<PathBuf> {
        let home = || self.home.as_ref().filter(|home| !home.as_os_str().is_empty());
        let caches = || self.path("XDG_CACHE_HOME").or_else(|| Some(home()?.join(".cache")));
        self.path("HF_HOME").or_else(|| Some(caches()?.join("huggingface")))
    }

    /// `HF_HUB_CACHE`, else `hub` in [`Self::home`].
    pub(crate) fn cache(&self) -> Option<Cache> {
        self.path("HF_HUB_CACHE").or_else(|| Some(self.home()?.join("hub"))).map(Cache::new)
    }

    pub(crate) fn endpoint(&self) -> Option<String> {
        self.value("HF_ENDPOINT").map(|value| value.to_string_lossy().into_owned())
    }

    /// The token in `HF_TOKEN`, else in the file `HF_TOKEN_PATH`, else in the file `token` in [`Self::home`].
    pub(crate) fn token(&self) -> Result<Option<Token>, HubError> {
        let parse = |text: Option<&str>| Token::parse(text.ok_or(HubError::InvalidToken)?).map(Some);
        if let Some(value) = self.value("HF_TOKEN").filter(|value| !value.as_encoded_bytes().trim_ascii().is_empty()) {
            return parse(value.to_str());
        }
        let Some(path) = self.path("HF_TOKEN_PATH").or_else(|| Some(self.home()?.join("token"))) else {
            return Ok(None);
        };
        match std::fs::read(&path) {
            Ok(bytes) if bytes.trim_ascii().is_empty() => Ok(None),
            Ok(bytes) => parse(std::str::from_utf8(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(HubError::Io { path, source }),
        }
    }

    /// Whether `HF_HUB_OFFLINE` is `1`, `on`, `yes` or `true`, in any case.
    pub(crate) fn is_offline(&self) -> bool {
        let value = self.value("HF_HUB_OFFLINE").unwrap_or_default();
        ["1", "on", "yes", "true"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(variables: &'a [(&str, &str)], home: Option<&str>) -> Variables<'a> {
        let find = |name: &str| variables.iter().find(|(variable, _)| *variable == name);
        Variables { get: Box::new(move |name| find(name).map(|(_, value)| value.into())), home: home.map(Into::into) }
    }

    fn token(variables: &[(&str, &str)]) -> Option<String> {
        Some(of(variables, None).token().unwrap()?.as_str().to_owned())
    }

    #[test]
    fn variables_decide_where_the_cache_is() {
        let cache = |variables, home| of(variables, home).cache().map(|cache: Cache| cache.folder().to_owned());
        let all = [("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x")];
        assert_eq!(cache(&all, Some("/me")), Some("/c".into()));
        assert_eq!(cache(&all[1..], Some("/me")), Some("/h/hub".into()));
        assert_eq!(cache(&all[2..], Some("/me")), Some("/x/huggingface/hub".into()));
        assert_eq!(cache(&[("HF_HOME", "")], Some("/me")), Some("/me/.cache/huggingface/hub".into()));
        assert_eq!(cache(&[], None), None);
    }

    #[test]
    fn the_token_is_in_a_variable_or_a_file() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
        for (name, text) in [("token", "of-home\n"), ("other", "of-file"), ("empty", "\n"), ("broken", "a\nb")] {
            std::fs::write(path(name), text).unwrap();
        }
        let (home, other) = (path(""), path("other"));
        let all = [("HF_TOKEN", " of-variable "), ("HF_TOKEN_PATH", &other), ("HF_HOME", &home)];
        assert_eq!(token(&all).unwrap(), "of-variable");
        assert_eq!(token(&all[1..]).unwrap(), "of-file");
        assert_eq!(token(&[("HF_TOKEN", " "), all[1]]).unwrap(), "of-file");
        assert_eq!(token(&all[2..]).unwrap(), "of-home");
        for none in ["empty", "none"] {
            assert_eq!(token(&[("HF_TOKEN_PATH", &path(none))]), None);
        }
        for broken in [("HF_TOKEN", "a\nb"), ("HF_TOKEN", "a\u{e9}"), ("HF_TOKEN_PATH", path("broken").as_str())] {
            assert!(matches!(of(&[broken], None).token(), Err(HubError::InvalidToken)), "{broken:?}");
        }
        assert!(matches!(of(&[("HF_TOKEN_PATH", &home)], None).token(), Err(HubError::Io { .. })));
        assert!(!format!("{:?}", Token::parse("hf_secret\n").unwrap()).contains("secret"));
    }

    #[test]
    fn offline_is_a_yes() {
        for (value, expected) in [("1", true), ("True", true), ("yes", true), ("0", false), ("", false), ("no", false)]
        {
            assert_eq!(of(&[("HF_HUB_OFFLINE", value)], None).is_offline(), expected, "{value}");
        }
    }
}
