//! Addresses, and which of them are the endpoint's own.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ureq::http::Uri;

/// An absolute `http` or `https` address without a user or a password.
#[derive(Debug, Clone)]
pub(crate) struct Url(Uri);

/// Who answers at an address: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        (has_host && !has_user && matches!(uri.scheme_str(), Some("http" | "https"))).then_some(Self(uri))
    }

    /// The address that a redirect from this one leads to. None leads from `https` to `http`.
    pub(crate) fn join(&self, location: &str) -> Option<Self> {
        let (scheme, authority) = (self.0.scheme_str()?, self.0.authority()?);
        let joined = match location {
            _ if location.contains("://") && !location.starts_with('/') => Self::parse(location),
            _ if location.starts_with("//") => Self::parse(&format!("{scheme}:{location}")),
            _ if location.starts_with('/') => Self::parse(&format!("{scheme}://{authority}{location}")),
            _ => {
                let folder = self.0.path().rsplit_once('/').map_or("", |(folder, _)| folder);
                Self::parse(&format!("{scheme}://{authority}{folder}/{location}"))
            }
        };
        joined.filter(|joined| joined.is_secure() || !self.is_secure())
    }

    /// This address, followed by `path`, which is encoded already.
    pub(crate) fn below(&self, path: &str) -> Option<Self> {
        Self::parse(&format!("{}/{path}", self.to_string().trim_end_matches('/')))
    }

    pub(crate) fn origin(&self) -> Origin {
        let host = self.host().to_ascii_lowercase();
        let port = self.0.port_u16().unwrap_or(if self.is_secure() { 443 } else { 80 });
        Origin { scheme: self.0.scheme_str().unwrap_or_default().to_owned(), host, port }
    }

    pub(crate) fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    fn is_secure(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    pub(crate) fn uri(&self) -> Uri {
        self.0.clone()
    }
}

/// Without the query, which may hold a signature that opens the file.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        write!(f, "{}://{authority}{}", self.0.scheme_str().unwrap_or_default(), self.0.path())
    }
}

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const PATH: &AsciiSet = &SEGMENT.remove(b'/');

/// `text` as one segment of a path: a slash is encoded, too.
pub(crate) fn segment(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, SEGMENT)
}

/// `text` as a path.
pub(crate) fn path(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, PATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = url("https://hub.example/a").origin();
        for same in ["https://hub.example", "https://HUB.example:443/b?c=d"] {
            assert_eq!(url(same).origin(), origin, "{same}");
        }
        for other in ["http://hub.example/a", "https://hub.example:444/a", "https://cdn.hub.example/a"] {
            assert_ne!(url(other).origin(), origin, "{other}");
        }
    }

    #[test]
    fn redirects_are_relative_to_where_they_come_from() {
        let from = url("http://hub:81/a/b/c?d");
        for (location, to) in [
            ("https://cdn/x", "https://cdn/x"),
            ("//cdn/x", "http://cdn/x"),
            ("/x?next=http://y/", "http://hub:81/x"),
            ("x", "http://hub:81/a/b/x"),
        ] {
            assert_eq!(from.join(location).expect(location).to_string(), to, "{location}");
        }
        for location in ["ftp://cdn/x", "https://hub:81@evil/x", "file:///etc/passwd", "http://", "\u{0}"] {
            assert!(from.join(location).is_none(), "{location:?}");
        }
        assert!(url("https://hub/a").join("http://hub/a").is_none(), "what is secure stays so");
        assert!(url("https://hub/a").join("https://cdn/a").is_some());
    }

    #[test]
    fn names_are_encoded() {
        assert_eq!(segment("refs/pr/1").to_string(), "refs%2Fpr%2F1");
        assert_eq!(path("a b/\u{e9}?#%.json").to_string(), "a%20b/%C3%A9%3F%23%25.json");
    }
}
