//! A repository on the hub: what is asked about it, and what the answers mean.

use std::io::Read;
use std::time::Duration;

use serde::Deserialize;

use crate::client::{Answer, Client};
use crate::etag::Etag;
use crate::source::Repository;
use crate::url::{Url, path, segment};
use crate::{HubError, Kind};

/// A list of files longer than this is no list of files.
const MAX_LISTING: u64 = 64 << 20;

/// A repository on the hub.
pub(crate) struct Remote<'a> {
    pub(crate) client: &'a Client<'a>,
    pub(crate) kind: Kind,
    pub(crate) repository: &'a Repository,
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
}

impl<'a> Remote<'a> {
    /// The commit of the revision and its files.
    pub(crate) fn list(&self) -> Result<Listing, HubError> {
        let Repository { id, revision } = self.repository;
        let answer = self
            .client
            .get(&self.below_endpoint(format!("api/{}/{id}/revision/{}", self.kind.plural(), segment(revision)))?, 0)?;
        if answer.status() != 200 {
            return Err(self.refusal(&answer, None));
        }
        let url = answer.url.clone();
        let mut json = Vec::new();
        answer.body().take(MAX_LISTING).read_to_end(&mut json).map_err(|error| url.network(error))?;
        parse_listing(&json).map_err(|reason| url.bad_answer(reason))
    }

    /// The hash and the size of a file.
    pub(crate) fn describe(&self, commit: &'a str, name: &'a str) -> Result<RemoteFile<'a>, HubError> {
        let answer = self.client.head(&self.file_url(commit, name)?)?;
        let is_redirect = (300..400).contains(&answer.status());
        if answer.status() != 200 && !is_redirect {
            return Err(self.refusal(&answer, Some(name)));
        }
        if answer.header("X-Repo-Commit").is_some_and(|answered| answered != commit) {
            return Err(answer.url.bad_answer("a file of another commit"));
        }
        // The headers without `Linked` describe the redirect, if it is one.
        let own = |name| answer.header(name).filter(|_| !is_redirect);
        let etag = answer.header("X-Linked-ETag").or_else(|| answer.header("ETag")).and_then(Etag::parse);
        let etag = etag.ok_or_else(|| answer.url.bad_answer("no hash (ETag) that names the file's content"))?;
        let size = answer.number("X-Linked-Size").or_else(|| own("Content-Length")?.trim().parse().ok());
        let size = size.ok_or_else(|| answer.url.bad_answer("no size"))?;
        Ok(RemoteFile { commit, name, etag, size })
    }

    /// The file's content from `offset` on. The status is 200, 206 or 416.
    pub(crate) fn open(&self, file: &RemoteFile<'_>, offset: u64) -> Result<Answer, HubError> {
        let answer = self.client.get(&self.file_url(file.commit, file.name)?, offset)?;
        match answer.status() {
            200 => Ok(answer),
            206 | 416 if offset > 0 => Ok(answer),
            _ => Err(self.refusal(&answer, Some(file.name))),
        }
    }

    fn file_url(&self, commit: &str, name: &str) -> Result<Url, HubError> {
        let prefix = match self.kind {
            Kind::Model => "",
            Kind::Dataset => "datasets/",
        };
        self.below_endpoint(format!("{prefix}{}/resolve/{commit}/{}", self.repository.id, path(name)))
    }

    fn below_endpoint(&self, path: String) -> Result<Url, HubError> {
        let endpoint = self.client.endpoint();
        endpoint.below(&path).ok_or_else(|| HubError::InvalidEndpoint(endpoint.to_string()))
    }

    /// Why the hub does not give what it was asked for.
    fn refusal(&self, answer: &Answer, file: Option<&str>) -> HubError {
        let name = self.repository.id.clone();
        let revision = self.repository.revision.clone();
        let message = answer.header("X-Error-Message").unwrap_or_default();
        let message: String = message.chars().filter(|c| !c.is_control()).take(300).collect();
        let host = answer.url.host().to_owned();
        let token_given = self.client.has_token();
        let is_hub = answer.url.origin() == self.client.endpoint().origin();
        match (answer.status(), answer.header("X-Error-Code").unwrap_or_default(), file) {
            (401 | 403, "GatedRepo", _) => HubError::Gated { name, token_given },
            (401 | 404, "RepoNotFound", _) | (404, "", None) => {
                HubError::RepositoryNotFound { name, kind: self.kind, token_given, similar: Vec::new() }
            }
            (404, "RevisionNotFound", _) => HubError::RevisionNotFound { name, revision },
            (404, _, Some(file)) => {
                HubError::FilesNotFound { name, revision, missing: vec![file.into()], existing: Vec::new() }
            }
            (401, ..) if is_hub && token_given => HubError::TokenRefused { name, host, message },
            (401, ..) if is_hub => HubError::TokenMissing { name, host },
            (403, ..) => HubError::Forbidden { name, host, message },
            (status, ..) => {
                let retry_after = answer.number("Retry-After").map(Duration::from_secs);
                HubError::Status { url: answer.url.to_string(), status, message, retry_after }
            }
        }
    }
}

/// Takes the answer to [`Remote::list`] apart, or says what is wrong with it.
fn parse_listing(json: &[u8]) -> Result<Listing, String> {
    #[derive(Deserialize)]
    struct Revision {
        sha: String,
        siblings: Vec<Sibling>,
    }
    #[derive(Deserialize)]
    struct Sibling {
        rfilename: String,
    }
    let Revision { sha, siblings } = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    if sha.len() != 40 || !sha.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("{sha:?} is no commit"));
    }
    let mut files: Vec<_> = siblings.into_iter().map(|sibling| sibling.rfilename).collect();
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
        let json = |sha: &str, name: &str| format!(r#"{{"sha": "{sha}", "siblings": [{{"rfilename": "{name}"}}]}}"#);
        let commit = "0a".repeat(20);
        let listing = parse_listing(json(&commit, "a/b").as_bytes()).unwrap();
        assert_eq!((listing.commit, listing.files), (commit.clone(), vec!["a/b".to_owned()]));
        for (sha, name) in [("main", "a"), ("../../../../../../../../../../etc/passwd", "a"), (&commit, "../a")] {
            let reason = parse_listing(json(sha, name).as_bytes()).unwrap_err();
            assert!(reason.contains("is no"), "{reason}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_listing_or_not(bytes: Vec<u8>) {
            let _ = parse_listing(&bytes);
        }

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
