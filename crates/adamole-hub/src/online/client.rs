//! The hub's own client, set up with what this crate was told: no variable decides where a request or a token goes.

use std::cell::OnceCell;

use hf_hub::{HFClient, HFClientBuilder};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Response, Url};
use tokio::runtime::{Builder, Runtime};
use xet::xet_session::XetSession;

use super::proxy;
use crate::token::Token;
use crate::{Cache, Hub, HubError, Network};

const MAX_REDIRECTS: usize = 10;

/// Asks the hub, and who the hub refers to. The token goes to the hub alone: `reqwest` takes it out of a request that
/// is redirected to another host or port, and from `https` to `http` none is followed.
pub(crate) struct Client<'a> {
    /// What `hf-hub` works on. Its blocking interface has no stream of a file's bytes, and no callback of the caller's
    /// thread; with this, the functions of this crate block in its place.
    runtime: Runtime,
    pub(crate) hub: HFClient,
    /// For the headers of a file, which are the hub's own: a redirect to another server is the answer.
    http: reqwest::Client,
    pub(crate) xet: OnceCell<XetSession>,
    endpoint: Url,
    token: Option<&'a Token>,
    network: &'a Network,
}

impl<'a> Client<'a> {
    /// # Errors
    ///
    /// [`HubError::InvalidProxy`], and [`HubError::NoClient`] if this machine lacks something that a client needs.
    pub(crate) fn new(hub: &'a Hub, cache: &Cache) -> Result<Self, HubError> {
        let Hub { endpoint, token, network, .. } = hub;
        let token = token.as_ref();
        let endpoint = Url::parse(endpoint).map_err(|_| HubError::InvalidEndpoint(endpoint.clone()))?;
        let builder = HFClientBuilder::new().endpoint(endpoint.as_str()).cache_dir(cache.folder()).cache_enabled(false);
        // Without a token, `hf-hub` looks for one of its own; with one that no header can hold it sends none.
        let builder = builder.token(token.map_or("\n", Token::as_str)).retry_max_attempts(0);
        let hub = builder.client(http(network, Policy::custom(follow))?).build();
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Self {
            runtime: runtime.map_err(HubError::no_client)?,
            hub: hub.map_err(HubError::no_client)?,
            http: http(network, Policy::custom(follow_at_home))?,
            xet: OnceCell::new(),
            endpoint,
            token,
            network,
        })
    }

    pub(crate) fn endpoint(&self) -> &Url {
        &self.endpoint
    }

    pub(crate) fn token(&self) -> Option<&Token> {
        self.token
    }

    pub(crate) fn network(&self) -> &'a Network {
        self.network
    }

    pub(crate) fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The headers of a file of the hub. A redirect to another server is returned as it is.
    pub(crate) fn head(&self, url: Url) -> Result<Response, reqwest::Error> {
        let mut request = self.http.head(url);
        if let Some(token) = self.token {
            request = request.bearer_auth(token.as_str());
        }
        self.wait(async { request.send().await })
    }
}

fn http(network: &Network, redirects: Policy) -> Result<reqwest::Client, HubError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("adamole-hub/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(network.connect_timeout)
        .read_timeout(network.read_timeout)
        .redirect(redirects)
        .referer(false)
        .no_proxy();
    if network.proxy_variables {
        for proxy in proxy::of_variables()? {
            builder = builder.proxy(proxy);
        }
    }
    builder.build().map_err(HubError::no_client)
}

fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let is_secure = |url: &Url| url.scheme() == "https";
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(format!("more than {MAX_REDIRECTS} redirects"));
    }
    if attempt.previous().iter().any(is_secure) && !is_secure(attempt.url()) {
        return attempt.error("a redirect from https to http");
    }
    attempt.follow()
}

fn follow_at_home(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let is_home = |from: &Url| from.origin() == attempt.url().origin();
    if attempt.previous().last().is_some_and(is_home) { follow(attempt) } else { attempt.stop() }
}
