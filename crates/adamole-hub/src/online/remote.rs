//! A repository on the hub: what is asked about it, and what the answers mean.

use std::cell::Cell;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hf_hub::repository::{RepoSibling, RepoType};
use hf_hub::{HFError, HFRepository, HFResult, split_id};
use reqwest::Url;
use reqwest::header::{CONTENT_LENGTH, ETAG};
use xet::xet_session::XetDownloadStream;

use super::client::Client;
use super::etag::Etag;
use super::refusal::{bad_answer, number};
use crate::source::Repository;
use crate::{HubError, Kind};

/// A repository on the hub.
pub(crate) struct Remote<'a> {
    pub(crate) client: &'a Client<'a>,
    pub(crate) kind: Kind,
    pub(crate) repository: &'a Repository,
    /// Whether files come without Xet, because it failed.
    without_xet: Cell<bool>,
}

/// What a revision is at the moment.
#[derive(Debug)]
pub(crate) struct Listing {
    /// Forty hexadecimal digits.
    pub(crate) commit: String,
    /// The names of all files, sorted. None leads out of the folder that it is put into.
    pub(crate) files: Vec<String>,
}

/// A file of a commit.
pub(crate) struct RemoteFile<'a> {
    pub(crate) commit: &'a str,
    pub(crate) name: &'a str,
    pub(crate) etag: Etag,
    pub(crate) size: u64,
    /// What the file is called in the storage of Xet, if it is there.
    xet: Option<String>,
}

type ByteStream = Box<dyn Stream<Item = HFResult<Bytes>> + Send + Unpin>;

/// The content of a file from `offset` on.
pub(crate) struct Content<'a> {
    pub(crate) offset: u64,
    remote: &'a Remote<'a>,
    name: &'a str,
    pieces: Pieces,
}

enum Pieces {
    Http(ByteStream),
    Xet(XetDownloadStream),
}

impl<'a> Remote<'a> {
    pub(crate) fn new(client: &'a Client<'a>, kind: Kind, repository: &'a Repository) -> Self {
        Self { client, kind, repository, without_xet: Cell::new(false) }
    }

    /// The commit of the revision and its files.
    pub(crate) fn list(&self) -> Result<Listing, HubError> {
        let info = self.client.wait(self.info()).map_err(|error| self.failed(error, None))?;
        listing(info).map_err(|reason| bad_answer(&self.url(["revision", &self.repository.revision]), reason))
    }

    async fn info(&self) -> HFResult<(Option<String>, Option<Vec<RepoSibling>>)> {
        let (owner, name) = split_id(&self.repository.id);
        let (hub, revision) = (&self.client.hub, &self.repository.revision);
        let expand = ["sha", "siblings"].map(str::to_owned).to_vec();
        match self.kind {
            Kind::Model => {
                let info = hub.model(owner, name).info().revision(revision).expand(expand).send().await?;
                Ok((info.sha, info.siblings))
            }
            Kind::Dataset => {
                let info = hub.dataset(owner, name).info().revision(revision).expand(expand).send().await?;
                Ok((info.sha, info.siblings))
            }
        }
    }

    /// The hash and the size of a file.
    ///
    /// These are in the headers of the hub's redirect to another server. `hf-hub` 1.0.0 follows it, and asks that server
    /// for them in vain (<https://github.com/huggingface/hf-hub/pull/212>); in its list of files, the hash of a large
    /// one is absent. So this request is made here.
    pub(crate) fn describe(&self, commit: &'a str, name: &'a str) -> Result<RemoteFile<'a>, HubError> {
        let answer = self.client.head(self.file_url(commit, name)).map_err(|error| self.broken(error))?;
        let is_redirect = answer.status().is_redirection();
        if answer.status() != 200 && !is_redirect {
            return Err(self.no_description(&answer, name));
        }
        let bad = |reason: &str| bad_answer(answer.url(), reason.into());
        let headers = answer.headers();
        if headers.get("X-Repo-Commit").is_some_and(|answered| answered != commit) {
            return Err(bad("a file of another commit"));
        }
        // The headers without `Linked` describe the redirect, if it is one.
        let etag = headers.get("X-Linked-ETag").or_else(|| headers.get(ETAG));
        let etag = etag.and_then(|value| Etag::parse(value.to_str().ok()?));
        let own_size = || number(headers, CONTENT_LENGTH.as_str()).filter(|_| !is_redirect);
        let size = number(headers, "X-Linked-Size").or_else(own_size);
        let xet = headers.get("X-Xet-Hash").and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(RemoteFile {
            commit,
            name,
            etag: etag.ok_or_else(|| bad("no hash (ETag) that names the file's content"))?,
            size: size.ok_or_else(|| bad("no size"))?,
            xet,
        })
    }

    /// The file's content from `offset` on, or from its start if the server cannot continue it.
    pub(crate) fn open(&'a self, file: &RemoteFile<'a>, offset: u64) -> Result<Content<'a>, HubError> {
        if let Some(hash) = file.xet.as_deref().filter(|_| !self.without_xet.get()) {
            let stream = self.open_xet(hash, file, offset).map_err(|error| self.no_xet(error))?;
            return Ok(Content { offset, remote: self, name: file.name, pieces: Pieces::Xet(stream) });
        }
        let (owner, name) = split_id(&self.repository.id);
        let hub = &self.client.hub;
        let opened = self.client.wait(async {
            match self.kind {
                Kind::Model => stream(hub.model(owner, name), file, offset).await,
                Kind::Dataset => stream(hub.dataset(owner, name), file, offset).await,
            }
        });
        let (length, stream) = match opened {
            Err(HFError::Http { context }) if context.status == 416 && offset > 0 => return self.open(file, 0),
            opened => opened.map_err(|error| self.failed(error, Some(file.name)))?,
        };
        let content = |offset| Ok(Content { offset, remote: self, name: file.name, pieces: Pieces::Http(stream) });
        // Whether the server heeded the range cannot be seen but by the length of its answer.
        match length {
            Some(length) if length == file.size - offset => content(offset),
            Some(length) if length == file.size => content(0),
            None if offset == 0 => content(0),
            _ if offset > 0 => self.open(file, 0),
            length => Err(file.wrong_size(length.unwrap_or_default())),
        }
    }

    /// From now on, fetches this file and all others by HTTP, if it was fetched by Xet so far; whether that is so.
    ///
    /// A server in front of the hub may pass on that there is Xet, but not what leads there.
    pub(crate) fn give_up_xet(&self, file: &RemoteFile<'_>) -> bool {
        file.xet.is_some() && !self.without_xet.replace(true)
    }

    fn file_url(&self, commit: &str, name: &str) -> Url {
        let mut url = self.client.endpoint().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            if self.kind == Kind::Dataset {
                path.push("datasets");
            }
            path.extend(self.repository.id.split('/')).extend(["resolve", commit]).extend(name.split('/'));
        }
        url
    }

    /// An address of the hub's interface to programs.
    pub(crate) fn url<'b>(&self, parts: impl IntoIterator<Item = &'b str>) -> Url {
        let mut url = self.client.endpoint().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", self.kind.plural()]).extend(self.repository.id.split('/')).extend(parts);
        }
        url
    }
}

async fn stream<T: RepoType>(
    repository: HFRepository<T>,
    file: &RemoteFile<'_>,
    offset: u64,
) -> HFResult<(Option<u64>, ByteStream)> {
    let range = (offset > 0).then_some(offset..file.size);
    repository.download_file_stream().filename(file.name).revision(file.commit).maybe_range(range).send().await
}

impl Content<'_> {
    /// The next piece; `None` after the last one that the server sends.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, HubError> {
        match &mut self.pieces {
            Pieces::Http(stream) => {
                let next = self.remote.client.wait(stream.next());
                next.transpose().map_err(|error| self.remote.failed(error, Some(self.name)))
            }
            Pieces::Xet(stream) => stream.blocking_next().map_err(|error| self.remote.no_xet(error)),
        }
    }
}

impl RemoteFile<'_> {
    pub(crate) fn wrong_size(&self, got: u64) -> HubError {
        HubError::WrongSize { file: self.name.into(), expected: self.size, got }
    }
}

/// The commit and the names in what the hub tells of a revision, or what is wrong with them.
fn listing((commit, files): (Option<String>, Option<Vec<RepoSibling>>)) -> Result<Listing, String> {
    let (Some(commit), Some(files)) = (commit, files) else { return Err("no commit with a list of files".into()) };
    if commit.len() != 40 || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("{commit:?} is no commit"));
    }
    let mut files: Vec<_> = files.into_iter().map(|file| file.rfilename).collect();
    if let Some(hostile) = files.iter().find(|file| !is_file_name(file)) {
        return Err(format!("{hostile:?} is no name of a file"));
    }
    files.sort();
    files.dedup();
    Ok(Listing { commit, files })
}

/// Whether this names a file below a folder, on every system.
fn is_file_name(name: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    !name.contains(|c: char| c.is_control() || matches!(c, '\\' | ':')) && name.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for name in ["", "/", "/etc/passwd", "..", "../a", "a/../b", "a/..", "./a", "a//b", "a/", "a\\b", "C:a", "a\0"]
        {
            assert!(!is_file_name(name), "{name:?}");
        }
        for name in ["a", "a/b.c", "..a", "a..", ".gitattributes", "a b", "\u{e9}"] {
            assert!(is_file_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_listing_is_a_commit_and_names() {
        let info = |sha: &str, name: &str| {
            let sibling = RepoSibling { rfilename: name.into(), size: None, lfs: None };
            (Some(sha.to_owned()), Some(vec![sibling]))
        };
        let commit = "0a".repeat(20);
        let read = listing(info(&commit, "a/b")).unwrap();
        assert_eq!((read.commit, read.files), (commit.clone(), vec!["a/b".to_owned()]));
        for (sha, name) in [("main", "a"), ("../../../../../../../../../../etc/passwd", "a"), (&commit, "../a")] {
            let reason = listing(info(sha, name)).unwrap_err();
            assert!(reason.contains("is no"), "{reason}");
        }
        assert!(listing((Some(commit), None)).is_err() && listing((None, Some(Vec::new()))).is_err());
    }

    proptest! {
        #[test]
        fn a_name_stays_in_its_folder(name in "[./\\\\:a\u{0}é]{0,8}") {
            let folder = std::path::Path::new("/folder");
            let mut depth = 0;
            for part in folder.join(&name).components().skip(2) {
                depth += if part == std::path::Component::ParentDir { -1 } else { 1 };
                prop_assert!(depth > 0 || !is_file_name(&name));
            }
            prop_assert!(folder.join(&name).starts_with(folder) || !is_file_name(&name));
        }
    }
}
