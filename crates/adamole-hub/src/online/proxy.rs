//! Proxies, by the variables that programs of every kind heed.

use reqwest::{NoProxy, Proxy};

use crate::HubError;

type Make = fn(&str) -> Result<Proxy, reqwest::Error>;

/// The variables that name a proxy, and for which addresses.
const VARIABLES: [(&str, Make); 6] = [
    ("HTTPS_PROXY", |text| Proxy::https(text)),
    ("https_proxy", |text| Proxy::https(text)),
    ("HTTP_PROXY", |text| Proxy::http(text)),
    ("http_proxy", |text| Proxy::http(text)),
    ("ALL_PROXY", |text| Proxy::all(text)),
    ("all_proxy", |text| Proxy::all(text)),
];

/// The proxies that the variables of this process name. `reqwest` by itself would pass over one that it does not
/// understand, and go another way than was asked for.
pub(crate) fn of_variables() -> Result<Vec<Proxy>, HubError> {
    let mut proxies = Vec::new();
    for (variable, make) in VARIABLES {
        let Some(value) = std::env::var_os(variable).filter(|value| !value.is_empty()) else { continue };
        let proxy = value.to_str().and_then(|text| parse(text, make));
        let proxy = proxy.ok_or(HubError::InvalidProxy { variable })?;
        proxies.push(proxy.no_proxy(NoProxy::from_env()));
    }
    Ok(proxies)
}

fn parse(text: &str, make: Make) -> Option<Proxy> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let is_known = matches!(scheme, "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h");
    let host = rest.rsplit('@').next()?;
    if !is_known || host.is_empty() || host.starts_with([':', '/']) {
        return None;
    }
    make(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_no_proxy() {
        for (text, expected) in [
            ("http://proxy:3128", true),
            ("http://me:secret@proxy:3128/", true),
            ("proxy:3128", true),
            ("socks5h://proxy", true),
            ("socks9://x", false),
            ("http://", false),
            ("http://me:secret@", false),
            ("://", false),
            ("http://a b", false),
        ] {
            assert_eq!(parse(text, |text| Proxy::all(text)).is_some(), expected, "{text}");
        }
    }
}
