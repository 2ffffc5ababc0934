//! Downloads of what the cache lacks.

use std::path::PathBuf;

use super::client::Client;
use super::folder::RepositoryFolder;
use super::remote::{Listing, Remote, RemoteFile};
use crate::event::{Event, Progress};
use crate::source::Repository;
use crate::{Cache, Hub, HubError, Kind, Wanted};

impl Hub {
    /// [`Self::fetch`], where the hub has to be asked.
    pub(crate) fn fetch_online(
        &self,
        repository: &Repository,
        kind: Kind,
        wanted: &Wanted,
        cache: &Cache,
        progress: &mut Progress<'_>,
    ) -> Result<PathBuf, HubError> {
        let client = Client::new(self, cache)?;
        let remote = Remote::new(&client, kind, repository);
        match self.network.retry(progress, |_| remote.list()) {
            Ok(listing) => fetch_files(&remote, &listing, cache, wanted, progress),
            Err(error) if error.is_transient() => {
                // The cache's own error would hide that the network is what is wrong.
                let Ok(snapshot) = cache.find(kind, repository, wanted) else { return Err(error) };
                progress(Event::UsingCache { error: &error, snapshot: &snapshot });
                Ok(snapshot)
            }
            Err(HubError::RepositoryNotFound { name, kind, token_given, .. }) => {
                let names = self.known_names.iter().cloned().chain(names(cache, kind));
                let similar = nearest(&name, names.collect());
                Err(HubError::RepositoryNotFound { name, kind, token_given, similar })
            }
            Err(error) => Err(error),
        }
    }
}

/// Downloads the wanted files of a commit that the cache does not have.
fn fetch_files(
    remote: &Remote<'_>,
    listing: &Listing,
    cache: &Cache,
    wanted: &Wanted,
    progress: &mut Progress<'_>,
) -> Result<PathBuf, HubError> {
    let Repository { id, revision } = remote.repository;
    let not_found = |missing| {
        let existing = listing.files.clone();
        HubError::FilesNotFound { name: id.clone(), revision: revision.clone(), missing, existing }
    };
    let missing = wanted.missing(&listing.files);
    if !missing.is_empty() {
        return Err(not_found(missing));
    }
    let folder = RepositoryFolder::new(cache.folder(), &Cache::name_of(remote.kind, id));
    let snapshot = folder.snapshot(&listing.commit)?;
    let mut files: Vec<RemoteFile<'_>> = Vec::new();
    for name in wanted.select(&listing.files).filter(|name| !snapshot.join(name).is_file()) {
        let described = remote.client.hub.network.retry(progress, |_| remote.describe(&listing.commit, name));
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

/// The names of the repositories in the cache.
fn names(cache: &Cache, kind: Kind) -> Vec<String> {
    let entries = std::fs::read_dir(cache.folder()).into_iter().flatten().flatten();
    let name = |folder: &str| Some(folder.strip_prefix(kind.plural())?.strip_prefix("--")?.replace("--", "/"));
    entries.filter_map(|entry| name(entry.file_name().to_str()?)).collect()
}

/// Up to three names that may be what was meant, the nearest first.
fn nearest(name: &str, mut names: Vec<String>) -> Vec<String> {
    let similarity = |a: &str, b: &str| strsim::normalized_damerau_levenshtein(&a.to_lowercase(), &b.to_lowercase());
    let own_part = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    // The same name of another owner is near, too.
    let nearness = |other: &str| similarity(name, other).max(0.95 * similarity(&own_part(name), &own_part(other)));
    names.sort();
    names.dedup();
    names.retain(|other| nearness(other) > 0.6);
    names.sort_by(|a, b| nearness(b).total_cmp(&nearness(a)));
    names.truncate(3);
    names
}
