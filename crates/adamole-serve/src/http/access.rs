//! Who may ask.

use super::{app::App, error::ApiError, page};
use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// Who may use a server.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The key that requests have to give; anybody may ask without it.
    pub api_key: Option<String>,
    /// The origin of web pages that may ask, beside the server's own.
    pub origin: Option<String>,
    /// Whether requests have to name this machine as their host: a web page may otherwise give its own host the address of
    /// this one, and read the answers.
    pub local_only: bool,
}

/// Checks a request, and counts its answer.
pub(super) async fn guard(
    State((app, access)): State<(Arc<App>, Arc<Access>)>,
    path: MatchedPath,
    request: Request<Body>,
    next: Next,
) -> Response {
    let path = path.as_str().to_owned();
    let response = match check(&access, &path, request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    app.metrics.count_request(&path, response.status().as_u16());
    response
}

fn check(access: &Access, path: &str, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if access.local_only {
        let host = text(header::HOST).unwrap_or_default();
        if !is_local(host) {
            return Err(ApiError::host(host));
        }
    }
    if let Some(key) = access.api_key.as_deref().filter(|_| !is_open(path)) {
        let given = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if !given.is_some_and(|given| is_same(given.as_bytes(), key.as_bytes())) {
            return Err(ApiError::unauthorised());
        }
    }
    // A page of another origin can send texts without asking first, but not JSON.
    let media_type = text(header::CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
    if method == Method::POST && !media_type.trim().eq_ignore_ascii_case("application/json") {
        return Err(ApiError::media_type());
    }
    Ok(())
}

/// Whether a path needs no key: it says nothing about models or requests.
fn is_open(path: &str) -> bool {
    path == "/health" || page::has(path)
}

/// Whether a host names this machine.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Compares in a time that does not tell where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(all: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn hosts_of_this_machine_are_its_own_names() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80", "LOCALHOST"] {
            assert!(is_local(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org:80", "10.0.0.1", "[::2]"] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn a_key_a_host_and_a_media_type_are_asked_for() {
        let access = Access { api_key: Some("secret".into()), origin: None, local_only: true };
        let (host, json) = ((header::HOST, "localhost"), (header::CONTENT_TYPE, "application/json; charset=utf-8"));
        let status = |path: &str, method: Method, all: &[(header::HeaderName, &'static str)]| {
            check(&access, path, &method, &headers(all)).map_err(|error| error.status().as_u16())
        };
        let key = |key| (header::AUTHORIZATION, key);
        assert_eq!(status("/health", Method::GET, std::slice::from_ref(&host)), Ok(()));
        assert_eq!(status("/health", Method::GET, &[(header::HOST, "example.org")]), Err(403));
        assert_eq!(status("/metrics", Method::GET, std::slice::from_ref(&host)), Err(401));
        assert_eq!(status("/metrics", Method::GET, &[host.clone(), key("Bearer secreT")]), Err(401));
        assert_eq!(status("/v1/completions", Method::POST, &[host.clone(), key("Bearer secret")]), Err(415));
        assert_eq!(status("/v1/completions", Method::POST, &[host, key("Bearer secret"), json]), Ok(()));
    }
}
