//! A hub with its cache.

use std::path::PathBuf;

use crate::event::Event;
use crate::variables::{self, Token};
use crate::{Cache, HubError, Kind, Network, Source, Wanted};

/// The address of the Hugging Face Hub.
pub const ENDPOINT: &str = "https://huggingface.co";

/// A hub and the cache for what is fetched from it.
///
/// `Debug` does not show the token.
#[derive(Debug, Clone)]
pub struct Hub {
    pub(crate) endpoint: String,
    pub(crate) token: Option<Token>,
    pub(crate) cache: Option<Cache>,
    pub(crate) is_offline: bool,
    pub(crate) known_names: Vec<String>,
    pub(crate) network: Network,
}

impl Hub {
    /// The hub at an address, such as [`ENDPOINT`], without a token. No variable is read.
    ///
    /// # Errors
    ///
    /// [`HubError::InvalidEndpoint`] if this is not an `http` or `https` address, or one with a user or a query.
    pub fn new(endpoint: &str, cache: Cache) -> Result<Self, HubError> {
        Self::of(endpoint, None, Some(cache))
    }

    /// The hub, the token and the cache of this process's variables: `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`,
    /// `HF_HUB_CACHE`, `HF_HUB_OFFLINE`, and those for proxies.
    ///
    /// # Errors
    ///
    /// [`HubError::InvalidEndpoint`], [`HubError::InvalidToken`] and [`HubError::InvalidProxy`] for invalid values, and
    /// [`HubError::Io`] for a token that cannot be read.
    pub fn from_env() -> Result<Self, HubError> {
        let endpoint = variables::endpoint();
        let endpoint = endpoint.as_deref().unwrap_or(ENDPOINT);
        let is_offline = variables::is_offline();
        #[cfg(feature = "online")]
        if !is_offline {
            crate::online::check_proxies()?;
        }
        let network = Network { proxy_variables: true, ..Network::default() };
        let hub = Self::of(endpoint, variables::token()?, variables::cache())?;
        Ok(Self { is_offline, network, ..hub })
    }

    fn of(endpoint: &str, token: Option<Token>, cache: Option<Cache>) -> Result<Self, HubError> {
        if !is_endpoint(endpoint) {
            // What may be a password is not shown.
            let shown = endpoint.rsplit('@').next().and_then(|rest| rest.split('?').next()).unwrap_or_default();
            return Err(HubError::InvalidEndpoint(shown.into()));
        }
        let (known_names, network) = (Vec::new(), Network::default());
        Ok(Self { endpoint: endpoint.into(), token, cache, is_offline: false, known_names, network })
    }

    /// Sends this token, to the hub's own address only.
    ///
    /// # Errors
    ///
    /// [`HubError::InvalidToken`] if it is empty or has other characters than visible ASCII ones inside.
    pub fn with_token(self, token: &str) -> Result<Self, HubError> {
        Ok(Self { token: Some(Token::parse(token)?), ..self })
    }

    /// Whether only the cache is used.
    #[must_use]
    pub fn with_offline(self, is_offline: bool) -> Self {
        Self { is_offline, ..self }
    }

    /// Names that [`HubError::RepositoryNotFound`] may suggest, besides those in the cache.
    #[must_use]
    pub fn with_known_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.known_names.extend(names.into_iter().map(Into::into));
        self
    }

    /// Timeouts and the number of tries.
    #[must_use]
    pub fn with_network(self, network: Network) -> Self {
        Self { network, ..self }
    }

    /// The folder with the wanted files: the local folder of this name if it exists, as it is; else the snapshot in the
    /// cache, after the files that it lacks were downloaded.
    ///
    /// The hub is asked for the commit of the revision. If it does not answer, the snapshot in the cache is taken, with
    /// [`Event::UsingCache`]. It is not asked when offline, or for a full commit if all wanted names are without a star
    /// and cached. In the cache, one file is enough for a pattern with a star.
    ///
    /// # Errors
    ///
    /// [`HubError`]. What has arrived of a file is kept, and the next call continues with it.
    pub fn fetch(
        &self,
        source: &Source,
        kind: Kind,
        wanted: &Wanted,
        progress: &mut dyn FnMut(Event<'_>),
    ) -> Result<PathBuf, HubError> {
        if let Some(folder) = source.folder() {
            return Ok(folder);
        }
        let repository = source.repository()?;
        let cache = self.cache.as_ref().ok_or_else(|| HubError::NoCache { name: source.to_string() })?;
        let cached = || cache.find(kind, repository, wanted);
        if self.is_offline {
            return cached();
        }
        if is_full_commit(&repository.revision)
            && wanted.is_exact()
            && let Ok(snapshot) = cached()
        {
            return Ok(snapshot);
        }

        #[cfg(feature = "online")]
        return self.fetch_online(repository, kind, wanted, cache, progress);
        #[cfg(not(feature = "online"))]
        cached().map_err(|_| HubError::NotBuiltIn { name: source.to_string() })
    }
}

/// Whether a hub can be at this address: `http` or `https`, a host, and no user, password or query.
fn is_endpoint(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    !host.is_empty() && !rest.contains(['@', '?', '#', '\\', '\u{fffd}']) && !rest.contains(char::is_whitespace)
}

/// Whether this is forty hexadecimal digits.
pub(crate) fn is_full_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}
