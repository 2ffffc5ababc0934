//! Requests: where the token goes, which redirects are followed, and what is tried again.

use std::io::Read;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, LOCATION, RANGE};
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body, Error};

use crate::HubError;
use crate::event::{Event, Progress};
use crate::token::Token;
use crate::url::Url;

const MAX_REDIRECTS: u32 = 10;

/// The longest wait between two tries, whatever the server asks for.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// How patient the crate is with a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// How long a connection may take to be made, and the name of a host to be found.
    pub connect_timeout: Duration,
    /// How long the server may send nothing.
    pub read_timeout: Duration,
    /// How often a request is tried in all. A transfer that got further than ever before starts to count anew.
    pub tries: u32,
    /// The wait before the second try; it doubles with each further one. A server that asks for a longer wait gets
    /// it, up to a minute.
    pub retry_delay: Duration,
    /// Whether the variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are heeded.
    pub proxy_variables: bool,
}

impl Default for Network {
    /// 10 and 30 seconds, 4 tries, waits of 0.5, 1 and 2 seconds, no proxy.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            tries: 4,
            retry_delay: Duration::from_millis(500),
            proxy_variables: false,
        }
    }
}

/// Asks the hub, and who the hub refers to.
pub(crate) struct Client<'a> {
    agent: Agent,
    endpoint: &'a Url,
    token: Option<&'a Token>,
    network: &'a Network,
}

/// What a server answered.
pub(crate) struct Answer {
    /// Who answered, after redirects.
    pub(crate) url: Url,
    response: Response<Body>,
}

impl<'a> Client<'a> {
    pub(crate) fn new(endpoint: &'a Url, token: Option<&'a Token>, network: &'a Network) -> Self {
        let mut config = Agent::config_builder()
            .user_agent(concat!("adamole-hub/", env!("CARGO_PKG_VERSION")))
            // Sizes and offsets are those of the files themselves.
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(Some(network.connect_timeout))
            .timeout_connect(Some(network.connect_timeout))
            .timeout_per_read(Some(network.read_timeout))
            .timeout_per_write(Some(network.read_timeout));
        if !network.proxy_variables {
            config = config.proxy(None);
        }
        Self { agent: config.build().new_agent(), endpoint, token, network }
    }

    pub(crate) fn endpoint(&self) -> &Url {
        self.endpoint
    }

    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Asks for a file from `offset` on, wherever the hub refers to.
    pub(crate) fn get(&self, url: &Url, offset: u64) -> Result<Answer, HubError> {
        self.send(&Method::GET, url, offset)
    }

    /// Asks the hub about a file. A redirect to another server is the answer: the hub's headers are what counts.
    pub(crate) fn head(&self, url: &Url) -> Result<Answer, HubError> {
        self.send(&Method::HEAD, url, 0)
    }

    fn send(&self, method: &Method, url: &Url, offset: u64) -> Result<Answer, HubError> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = Request::builder().method(method).uri(url.uri());
            if offset > 0 {
                request = request.header(RANGE, format!("bytes={offset}-"));
            }
            // The token is the hub's alone: a server that it refers to must not get it.
            if let Some(token) = self.token
                && url.origin() == self.endpoint.origin()
            {
                request = request.header(AUTHORIZATION, token.header());
            }
            let request = request.body(()).map_err(|error| url.bad_answer(error))?;
            let response = self.agent.run(request).map_err(|error| match error {
                Error::Protocol(_) | Error::Http(_) | Error::LargeResponseHeader(..) => url.bad_answer(error),
                error => url.network(error),
            })?;
            let answer = Answer { url, response };
            let Some(next) = answer.redirect()? else { return Ok(answer) };
            if method == Method::HEAD && next.origin() != self.endpoint.origin() {
                return Ok(answer);
            }
            url = next;
        }
        Err(url.bad_answer(format!("more than {MAX_REDIRECTS} redirects")))
    }

    /// Does `ask` until it succeeds, fails for good, or has failed too often.
    pub(crate) fn retry<T>(
        &self,
        progress: &mut Progress<'_>,
        mut ask: impl FnMut() -> Result<T, HubError>,
    ) -> Result<T, HubError> {
        let mut tries = self.tries();
        loop {
            match ask() {
                Ok(value) => return Ok(value),
                Err(error) => tries.again(error, progress)?,
            }
        }
    }

    pub(crate) fn tries(&self) -> Tries<'a> {
        Tries { network: self.network, failures: 0 }
    }
}

/// The tries of one request.
pub(crate) struct Tries<'a> {
    network: &'a Network,
    failures: u32,
}

impl Tries<'_> {
    /// Waits, if it makes sense to try again after this error; else gives it back.
    pub(crate) fn again(&mut self, error: HubError, progress: &mut Progress<'_>) -> Result<(), HubError> {
        self.failures += 1;
        if !error.is_transient() || self.failures >= self.network.tries {
            return Err(error);
        }
        let doubled = 2_u32.saturating_pow(self.failures - 1);
        let asked_for = match &error {
            HubError::Status { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let delay = self.network.retry_delay.saturating_mul(doubled).max(asked_for).min(MAX_DELAY);
        progress(Event::Retrying { error: &error, delay });
        std::thread::sleep(delay);
        Ok(())
    }

    /// Forgets the failures, because something was achieved.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// The value of a header, if that is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// The value of a header that is a number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.header(name)?.trim().parse().ok()
    }

    /// What follows the headers.
    pub(crate) fn body(self) -> impl Read {
        self.response.into_body().into_reader()
    }

    /// Where this answer refers to, if it does.
    fn redirect(&self) -> Result<Option<Url>, HubError> {
        if !matches!(self.status(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = self.header(LOCATION.as_str()).and_then(|location| self.url.join(location));
        let location = location.ok_or_else(|| self.url.bad_answer("a redirect to nowhere, or from https to http"))?;
        Ok(Some(location))
    }
}

impl Url {
    pub(crate) fn network(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> HubError {
        HubError::Network { host: self.host().into(), source: error.into() }
    }

    pub(crate) fn bad_answer(&self, reason: impl ToString) -> HubError {
        HubError::BadAnswer { url: self.to_string(), reason: reason.to_string() }
    }
}
