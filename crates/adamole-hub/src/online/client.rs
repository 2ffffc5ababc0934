//! The clients, set up with the settings of a [`Hub`]: no variable decides where a request or a token goes.

use std::cell::OnceCell;

use hf_hub::{HFClient, HFClientBuilder};
use reqwest::Url;
use reqwest::redirect::{Action, Attempt, Policy};
use tokio::runtime::{Builder, Runtime};
use xet::xet_session::XetSession;

use crate::{Cache, Hub, HubError, Network};

const MAX_REDIRECTS: usize = 10;

/// The clients of one call.
///
/// The token goes to the hub alone: `reqwest` takes it out of a request that is redirected to another host or port, and
/// no redirect from `https` to `http` is followed.
pub(crate) struct Client<'a> {
    /// For `hf-hub`, whose blocking interface has no stream of a file's bytes.
    runtime: Runtime,
    pub(crate) hf: HFClient,
    /// For the headers of a file, which are the hub's own: a redirect to another server is the answer.
    pub(crate) http: reqwest::Client,
    pub(crate) xet: OnceCell<XetSession>,
    pub(crate) endpoint: Url,
    pub(crate) hub: &'a Hub,
}

impl<'a> Client<'a> {
    /// # Errors
    ///
    /// [`HubError::NoClient`] if this machine lacks something that a client needs.
    pub(crate) fn new(hub: &'a Hub, cache: &Cache) -> Result<Self, HubError> {
        let endpoint = Url::parse(&hub.endpoint).map_err(|_| HubError::InvalidEndpoint(hub.endpoint.clone()))?;
        let builder = HFClientBuilder::new().endpoint(endpoint.as_str()).cache_dir(cache.folder()).cache_enabled(false);
        // Without a token, `hf-hub` looks for one of its own; with one that no header can hold it sends none. Its tries
        // are silent and ignore `Retry-After`; those of this crate are not.
        let builder = builder.token(hub.token.as_ref().map_or("\n", |token| token.as_str())).retry_max_attempts(0);
        let client = builder.client(http(&hub.network, Policy::custom(follow))?).build();
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Self {
            runtime: runtime.map_err(HubError::no_client)?,
            hf: client.map_err(HubError::no_client)?,
            http: http(&hub.network, Policy::custom(follow_at_home))?,
            xet: OnceCell::new(),
            endpoint,
            hub,
        })
    }

    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// An address below the endpoint.
    pub(crate) fn url<'b>(&self, parts: impl IntoIterator<Item = &'b str>) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }
}

fn http(network: &Network, redirects: Policy) -> Result<reqwest::Client, HubError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("adamole-hub/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(network.connect_timeout)
        .read_timeout(network.read_timeout)
        .redirect(redirects)
        .referer(false);
    if !network.proxy_variables {
        builder = builder.no_proxy();
    }
    builder.build().map_err(HubError::no_client)
}

fn follow(attempt: Attempt<'_>) -> Action {
    let is_secure = |url: &Url| url.scheme() == "https";
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("more than {MAX_REDIRECTS} redirects"));
    }
    if attempt.previous().iter().any(is_secure) && !is_secure(attempt.url()) {
        return attempt.error("a redirect from https to http");
    }
    attempt.follow()
}

fn follow_at_home(attempt: Attempt<'_>) -> Action {
    let is_home = |from: &Url| from.origin() == attempt.url().origin();
    if attempt.previous().last().is_some_and(is_home) { follow(attempt) } else { attempt.stop() }
}

/// Refuses a variable that is not the address of a proxy. `reqwest` reads them, too, but ignores a value that it does not
/// understand, and connects directly.
pub(crate) fn check_proxies() -> Result<(), HubError> {
    let is_wrong = |variable: &&str| {
        let value = std::env::var_os(variable).filter(|value| !value.is_empty());
        value.is_some_and(|value| !value.to_str().is_some_and(is_proxy))
    };
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    names.into_iter().find(is_wrong).map_or(Ok(()), |variable| Err(HubError::InvalidProxy { variable }))
}

fn is_proxy(text: &str) -> bool {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let host = rest.rsplit('@').next().unwrap_or_default();
    let is_known = matches!(scheme, "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h");
    is_known && !host.starts_with([':', '/']) && reqwest::Proxy::all(text).is_ok()
}
