//! Fetching what is not there yet.

use std::path::PathBuf;

use crate::cache::files_below;
use crate::client::{Client, Network};
use crate::event::{Event, Progress};
use crate::remote::{Listing, Remote, RemoteFile};
use crate::source::{Place, Repository};
use crate::token::Token;
use crate::url::Url;
use crate::variables::Variables;
use crate::{Cache, HubError, Kind, Source, Wanted};

/// The address of the Hugging Face hub.
pub const ENDPOINT: &str = "https://huggingface.co";

/// A hub and the cache for what is fetched from it.
///
/// `Debug` does not show the token.
#[derive(Debug, Clone)]
pub struct Hub {
    endpoint: Url,
    token: Option<Token>,
    cache: Option<Cache>,
    is_offline: bool,
    known_names: Vec<String>,
    network: Network,
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

    /// The hub, the token and the cache that the variables of this process tell: `HF_ENDPOINT`, `HF_TOKEN`,
    /// `HF_TOKEN_PATH`, `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`, and those for proxies.
    ///
    /// # Errors
    ///
    /// [`HubError::InvalidEndpoint`], [`HubError::InvalidToken`] and [`HubError::InvalidProxy`] for what cannot be used, and [`HubError::Io`] for
    /// a token that cannot be read.
    pub fn from_env() -> Result<Self, HubError> {
        let variables = Variables::of_process();
        let endpoint = variables.endpoint()?.unwrap_or(ENDPOINT);
        let hub = Self::of(endpoint, variables.token()?, Cache::from_variables(&variables))?;
        if !variables.is_offline() {
            Variables::check_proxies()?;
        }
        let network = Network { proxy_variables: true, ..Network::default() };
        Ok(hub.with_offline(variables.is_offline()).with_network(network))
    }

    fn of(endpoint: &str, token: Option<Token>, cache: Option<Cache>) -> Result<Self, HubError> {
        let parsed = Url::parse(endpoint).filter(|url| url.uri().query().is_none());
        // What may be a password is not shown.
        let shown = || endpoint.rsplit('@').next().and_then(|rest| rest.split('?').next()).unwrap_or_default().into();
        Ok(Self {
            endpoint: parsed.ok_or_else(|| HubError::InvalidEndpoint(shown()))?,
            token,
            cache,
            is_offline: false,
            known_names: Vec::new(),
            network: Network::default(),
        })
    }

    /// Sends this token, to the hub's own address only.
    ///
    /// # Errors
    ///
    /// [`HubError::InvalidToken`] if it is empty or has other characters than visible ASCII ones inside.
    pub fn with_token(mut self, token: &str) -> Result<Self, HubError> {
        self.token = Some(Token::parse(token)?);
        Ok(self)
    }

    /// Whether only the cache is looked at.
    #[must_use]
    pub fn with_offline(mut self, is_offline: bool) -> Self {
        self.is_offline = is_offline;
        self
    }

    /// Names that [`HubError::RepositoryNotFound`] may suggest, besides those in the cache.
    #[must_use]
    pub fn with_known_names<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.known_names.extend(names.into_iter().map(Into::into));
        self
    }

    /// How long to wait, and how often to try.
    #[must_use]
    pub fn with_network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// The folder with the wanted files: the local folder of this name if there is one, as it is; else the snapshot
    /// in the cache, after what it lacks was fetched from the hub.
    ///
    /// The hub is asked which commit the revision is at. If it does not answer, the cache is taken as it is, with
    /// [`Event::UsingCache`]. It is not asked when offline, or for a full commit if all wanted names are without a star
    /// and cached. In the cache, a pattern with a star is content with one file.
    ///
    /// # Errors
    ///
    /// [`HubError`], which says what was asked of whom and why it failed. What has arrived of a file is kept, and the
    /// next call continues with it.
    pub fn fetch(
        &self,
        source: &Source,
        kind: Kind,
        wanted: &Wanted,
        progress: &mut dyn FnMut(Event<'_>),
    ) -> Result<PathBuf, HubError> {
        let repository = match source.place()? {
            Place::Folder(folder) => return Ok(folder),
            Place::Repository(repository) => repository,
        };
        let cache = self.cache.as_ref().ok_or_else(|| HubError::NoCache { name: source.to_string() })?;
        let cached = || cached(cache, kind, repository, wanted);
        if self.is_offline {
            return cached();
        }
        if is_full_commit(&repository.revision)
            && wanted.is_exact()
            && let Ok(snapshot) = cached()
        {
            return Ok(snapshot);
        }

        let client = Client::new(&self.endpoint, self.token.as_ref(), &self.network);
        let remote = Remote { client: &client, kind, repository };
        match client.retry(progress, || remote.list()) {
            Ok(listing) => fetch_files(&remote, &listing, cache, wanted, progress),
            Err(error) if error.is_transient() => {
                // The cache's own error would hide that the network is what is wrong.
                let Ok(snapshot) = cached() else { return Err(error) };
                progress(Event::UsingCache { error: &error, snapshot: &snapshot });
                Ok(snapshot)
            }
            Err(HubError::RepositoryNotFound { name, kind, token_given, .. }) => {
                let names = self.known_names.iter().cloned().chain(cache.names(kind));
                let similar = nearest(&name, names.collect());
                Err(HubError::RepositoryNotFound { name, kind, token_given, similar })
            }
            Err(error) => Err(error),
        }
    }
}

/// The snapshot in the cache, if it has the wanted files.
fn cached(cache: &Cache, kind: Kind, repository: &Repository, wanted: &Wanted) -> Result<PathBuf, HubError> {
    let snapshot = cache.snapshot(kind, repository)?;
    let mut files = files_below(&snapshot);
    // Not links whose blob is gone.
    files.retain(|file| snapshot.join(file).is_file());
    match wanted.missing(&files) {
        missing if missing.is_empty() => Ok(snapshot),
        missing => Err(HubError::FilesNotCached { name: repository.id.clone(), missing, snapshot }),
    }
}

/// Fetches the wanted files of a commit that the cache does not have.
fn fetch_files(
    remote: &Remote<'_>,
    listing: &Listing,
    cache: &Cache,
    wanted: &Wanted,
    progress: &mut Progress<'_>,
) -> Result<PathBuf, HubError> {
    let Repository { id, revision } = remote.repository;
    let not_found = |missing| HubError::FilesNotFound {
        name: id.clone(),
        revision: revision.clone(),
        missing,
        existing: listing.files.clone(),
    };
    let missing = wanted.missing(&listing.files);
    if !missing.is_empty() {
        return Err(not_found(missing));
    }
    let folder = cache.repository(remote.kind, id);
    let snapshot = folder.make_snapshot(&listing.commit)?;
    let mut files: Vec<RemoteFile<'_>> = Vec::new();
    for name in wanted.select(&listing.files).filter(|name| !snapshot.join(name).is_file()) {
        let described = remote.client.retry(progress, || remote.describe(&listing.commit, name));
        files.push(described.map_err(|error| match error {
            HubError::FilesNotFound { missing, .. } => not_found(missing),
            error => error,
        })?);
    }
    if !files.is_empty() {
        let bytes = files.iter().fold(0, |sum: u64, file| sum.saturating_add(file.size));
        progress(Event::Planned { files: files.len(), bytes });
    }
    for file in &files {
        remote.fetch(file, &folder, progress)?;
        folder.link(&listing.commit, file.name, &file.etag)?;
        progress(Event::Finished { file: file.name });
    }
    // Last, so that a branch or tag never leads to a snapshot that this crate has left half done.
    if *revision != listing.commit {
        folder.write_ref(revision, &listing.commit)?;
    }
    Ok(snapshot)
}

fn is_full_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Up to three names that may be what was meant, the nearest first.
fn nearest(name: &str, mut names: Vec<String>) -> Vec<String> {
    let name = name.to_lowercase();
    let own_part = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let distance = |other: &String| {
        let other = other.to_lowercase();
        let whole = strsim::normalized_damerau_levenshtein(&name, &other);
        // The same name of another owner is near, too.
        let part = strsim::normalized_damerau_levenshtein(&own_part(&name), &own_part(&other));
        1.0 - whole.max(part * 0.95)
    };
    names.sort();
    names.dedup();
    let mut near: Vec<_> = names.into_iter().map(|other| (distance(&other), other)).collect();
    near.retain(|(distance, _)| *distance < 0.4);
    near.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_suggested() {
        let known =
            || ["meta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-13b-hf", "aps/super_glue"].map(str::to_owned).into();
        assert_eq!(nearest("meta-lama/llama-2-7b-hf", known())[0], "meta-llama/Llama-2-7b-hf");
        assert_eq!(nearest("google/super_glue", known()), ["aps/super_glue"]);
        assert!(nearest("openai/whisper", known()).is_empty());
    }

    #[test]
    fn an_address_is_checked_and_not_shown_with_its_password() {
        for endpoint in
            ["", "huggingface.co", "ftp://hub", "http://me:secret@hub", "https://hub?token=secret", "http://"]
        {
            let error = Hub::new(endpoint, Cache::new("cache")).unwrap_err();
            assert!(matches!(error, HubError::InvalidEndpoint(_)), "{endpoint}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(Hub::new("http://hub:80/mirror/", Cache::new("cache")).is_ok());
    }
}
