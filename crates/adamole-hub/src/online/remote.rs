//! A repository on the hub: requests, and what their answers mean.

use std::cell::Cell;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hf_hub::repository::RepoType;
use hf_hub::{HFError, HFRepository, HFResult, split_id};
use reqwest::header::{CONTENT_LENGTH, ETAG};
use reqwest::{Method, Response, Url};
use serde::Deserialize;

use super::client::Client;
use super::folder::Etag;
use super::refusal::{bad_answer, number};
use crate::hub::is_full_commit;
use crate::source::Repository;
use crate::{HubError, Kind};

/// The longest list of files in bytes, some million names. It is held in memory.
const MAX_LISTING: usize = 64 << 20;

/// A repository on the hub.
pub(crate) struct Remote<'a> {
    pub(crate) client: &'a Client<'a>,
    pub(crate) kind: Kind,
    pub(crate) repository: &'a Repository,
    /// Whether files are fetched without Xet, because it failed.
    without_xet: Cell<bool>,
}

/// A revision at the moment.
pub(crate) struct Listing {
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
    /// The file's name in the storage of Xet, if it is there.
    pub(crate) xet: Option<String>,
}

/// The next piece of a file's content; `None` after the last one.
pub(crate) type Pieces<'a> = Box<dyn FnMut() -> Result<Option<Bytes>, HubError> + 'a>;

impl<'a> Remote<'a> {
    pub(crate) fn new(client: &'a Client<'a>, kind: Kind, repository: &'a Repository) -> Self {
        Self { client, kind, repository, without_xet: Cell::new(false) }
    }

    /// The commit of the revision and its files.
    ///
    /// `hf-hub` reads an answer of any length into memory; this reads at most [`MAX_LISTING`].
    pub(crate) fn list(&self) -> Result<Listing, HubError> {
        let mut url = self.api(["revision", &self.repository.revision]);
        url.query_pairs_mut().append_pair("expand", "sha").append_pair("expand", "siblings");
        let (mut answer, mut text) = (self.ask(Method::GET, url.clone(), None)?, Vec::new());
        while let Some(piece) = self.client.wait(answer.chunk()).map_err(|error| self.broken(error))? {
            text.extend_from_slice(&piece);
            if text.len() > MAX_LISTING {
                return Err(bad_answer(&url, format!("a list of files of more than {MAX_LISTING} bytes")));
            }
        }
        listing(&text).map_err(|reason| bad_answer(&url, reason))
    }

    /// The hash and the size of a file.
    ///
    /// These are in the headers of the hub's redirect to another server. `hf-hub` 1.0.0 follows it, and asks that server
    /// for them in vain (<https://github.com/huggingface/hf-hub/pull/212>); its list of files lacks the hash of large
    /// ones.
    pub(crate) fn describe<'f>(&self, commit: &'f str, name: &'f str) -> Result<RemoteFile<'f>, HubError> {
        let dataset = (self.kind == Kind::Dataset).then_some("datasets");
        let parts = dataset.into_iter().chain(self.repository.id.split('/')).chain(["resolve", commit]);
        let answer = self.ask(Method::HEAD, self.client.url(parts.chain(name.split('/'))), Some(name))?;
        let bad = |reason: &str| bad_answer(answer.url(), reason.into());
        let headers = answer.headers();
        let text = |name: &str| headers.get(name)?.to_str().ok();
        if headers.get("X-Repo-Commit").is_some_and(|answered| answered != commit) {
            return Err(bad("a file of another commit"));
        }
        // The headers without `Linked` describe the redirect, if it is one.
        let own_size = || number(headers, CONTENT_LENGTH.as_str()).filter(|_| !answer.status().is_redirection());
        let etag = text("X-Linked-ETag").or_else(|| text(ETAG.as_str())).and_then(Etag::parse);
        Ok(RemoteFile {
            commit,
            name,
            etag: etag.ok_or_else(|| bad("no hash (ETag) that names the file's content"))?,
            size: number(headers, "X-Linked-Size").or_else(own_size).ok_or_else(|| bad("no size"))?,
            xet: text("X-Xet-Hash").map(str::to_owned),
        })
    }

    /// The file's content from `offset` on, or from its start if the server cannot continue it; where it begins.
    pub(crate) fn open<'f>(&'f self, file: &'f RemoteFile<'_>, offset: u64) -> Result<(u64, Pieces<'f>), HubError> {
        if let Some(hash) = file.xet.as_deref().filter(|_| !self.without_xet.get()) {
            let mut stream = self.open_xet(hash, file, offset).map_err(|error| self.no_xet(error))?;
            return Ok((offset, Box::new(move || stream.blocking_next().map_err(|error| self.no_xet(error)))));
        }
        let ((owner, name), hf) = (split_id(&self.repository.id), &self.client.hf);
        let opened = self.client.wait(async {
            match self.kind {
                Kind::Model => stream(hf.model(owner, name), file, offset).await,
                Kind::Dataset => stream(hf.dataset(owner, name), file, offset).await,
            }
        });
        let failed = |error| self.failed(error, Some(file.name));
        let (length, mut stream) = match opened {
            Err(HFError::Http { context }) if context.status == 416 && offset > 0 => return self.open(file, 0),
            opened => opened.map_err(failed)?,
        };
        // Whether the server heeded the range shows only in the length of its answer.
        let begins = match length {
            Some(length) if length == file.size - offset => offset,
            Some(length) if length == file.size => 0,
            None if offset == 0 => 0,
            _ if offset > 0 => return self.open(file, 0),
            length => return Err(file.wrong_size(length.unwrap_or_default())),
        };
        Ok((begins, Box::new(move || self.client.wait(stream.next()).transpose().map_err(failed))))
    }

    /// From now on, fetches all files by HTTP if `file` was fetched by Xet so far, and returns whether that is so.
    ///
    /// A server in front of the hub may pass on that there is Xet, but not what leads there.
    pub(crate) fn give_up_xet(&self, file: &RemoteFile<'_>) -> bool {
        file.xet.is_some() && !self.without_xet.replace(true)
    }

    /// An address of the hub's API.
    pub(crate) fn api<'b>(&'b self, parts: impl IntoIterator<Item = &'b str>) -> Url {
        self.client.url(["api", self.kind.plural()].into_iter().chain(self.repository.id.split('/')).chain(parts))
    }

    /// Asks the hub itself, about `file` if there is one. A redirect to another server is an answer.
    fn ask(&self, method: Method, url: Url, file: Option<&str>) -> Result<Response, HubError> {
        let mut request = self.client.http.request(method, url);
        if let Some(token) = &self.client.hub.token {
            request = request.bearer_auth(token.as_str());
        }
        let answer = self.client.wait(async { request.send().await }).map_err(|error| self.broken(error))?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            300..=399 if file.is_some() => Ok(answer),
            _ => Err(self.no_answer(&answer, file)),
        }
    }
}

type ByteStream = Box<dyn Stream<Item = HFResult<Bytes>> + Send + Unpin>;

async fn stream<T: RepoType>(
    repository: HFRepository<T>,
    file: &RemoteFile<'_>,
    offset: u64,
) -> HFResult<(Option<u64>, ByteStream)> {
    let range = (offset > 0).then_some(offset..file.size);
    repository.download_file_stream().filename(file.name).revision(file.commit).maybe_range(range).send().await
}

impl RemoteFile<'_> {
    pub(crate) fn wrong_size(&self, got: u64) -> HubError {
        HubError::WrongSize { file: self.name.into(), expected: self.size, got }
    }
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// The commit and the names in the hub's answer, or what is wrong with it.
fn listing(text: &[u8]) -> Result<Listing, String> {
    let Revision { sha, siblings } =
        serde_json::from_slice(text).map_err(|error| format!("no commit with a list of files: {error}"))?;
    if !is_full_commit(&sha) {
        return Err(format!("{sha:?} is no commit"));
    }
    let mut files: Vec<_> = siblings.into_iter().map(|file| file.rfilename).collect();
    if let Some(hostile) = files.iter().find(|file| !is_file_name(file)) {
        return Err(format!("{hostile:?} is no name of a file"));
    }
    files.sort();
    files.dedup();
    Ok(Listing { commit: sha, files })
}

/// Whether this names a file below a folder, on every system.
fn is_file_name(name: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    !name.contains(|c: char| c.is_control() || matches!(c, '\\' | ':')) && name.split('/').all(is_part)
}
