//! Errors of `hf-hub` and answers of servers, as [`HubError`].

use std::error::Error;
use std::time::Duration;

use hf_hub::HFError;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, Url};

use super::remote::Remote;
use crate::HubError;

/// An answer that is not what was asked for.
struct Refusal {
    url: String,
    status: u16,
    /// The hub's word for the reason.
    code: String,
    message: String,
    retry_after: Option<Duration>,
}

impl Remote<'_> {
    /// An error of `hf-hub`, about `file` if it was asked for one.
    pub(crate) fn failed(&self, error: HFError, file: Option<&str>) -> HubError {
        let (context, retry_after) = match error {
            HFError::RateLimited { retry_after, context } => (context, retry_after),
            HFError::Http { context }
            | HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context }
            | HFError::RepoNotFound { context: Some(context), .. }
            | HFError::RevisionNotFound { context: Some(context), .. }
            | HFError::EntryNotFound { context: Some(context), .. } => (context, None),
            HFError::Request { source, .. } => return self.broken(source),
            other => return bad_answer(&self.client.endpoint, innermost(&other)),
        };
        let code = context.error_code.unwrap_or_default();
        let message = context.server_message.unwrap_or_default();
        let status = context.status.as_u16();
        self.refused(Refusal { url: context.url, status, code, message, retry_after }, file)
    }

    /// An answer of the hub that is none to the question.
    pub(crate) fn no_answer(&self, answer: &Response, file: Option<&str>) -> HubError {
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().into();
        let (url, status) = (answer.url().to_string(), answer.status().as_u16());
        let (code, message) = (text("X-Error-Code"), text("X-Error-Message"));
        let retry_after = number(answer.headers(), RETRY_AFTER.as_str()).map(Duration::from_secs);
        self.refused(Refusal { url, status, code, message, retry_after }, file)
    }

    /// No answer, or only the beginning of one.
    pub(crate) fn broken(&self, error: reqwest::Error) -> HubError {
        let url = error.url().unwrap_or(&self.client.endpoint).clone();
        let error = error.without_url();
        let is_no_http = find::<hyper::Error>(&error).is_some_and(hyper::Error::is_parse);
        if error.is_redirect() || error.is_builder() || is_no_http || find::<serde_json::Error>(&error).is_some() {
            return bad_answer(&url, innermost(&error));
        }
        HubError::Network { host: url.host_str().unwrap_or_default().into(), source: innermost(&error).into() }
    }

    /// A failure of Xet.
    pub(crate) fn no_xet(&self, error: impl Error) -> HubError {
        let host = self.client.endpoint.host_str().unwrap_or_default();
        HubError::Network { host: format!("{host}'s storage (Xet)"), source: innermost(&error).into() }
    }

    fn refused(&self, refusal: Refusal, file: Option<&str>) -> HubError {
        let Refusal { url, status, code, message, retry_after } = refusal;
        let (name, revision) = (self.repository.id.clone(), self.repository.revision.clone());
        let message: String = message.chars().filter(|c| !c.is_control()).take(300).collect();
        let url = Url::parse(&url).unwrap_or_else(|_| self.client.endpoint.clone());
        let host = url.host_str().unwrap_or_default().to_owned();
        let token_given = self.client.hub.token.is_some();
        let is_hub = url.origin() == self.client.endpoint.origin();
        match (status, code.as_str(), file) {
            (300..=399, ..) => bad_answer(&url, "a redirect to nowhere, or from https to http".into()),
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
            (status, ..) => HubError::Status { url: shown(&url), status, message, retry_after },
        }
    }
}

pub(crate) fn bad_answer(url: &Url, reason: String) -> HubError {
    HubError::BadAnswer { url: shown(url), reason }
}

/// The value of a header that is a number.
pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// Without the query, which may hold a signature that opens the file.
fn shown(url: &Url) -> String {
    let text = url.as_str();
    text[..text.find(['?', '#']).unwrap_or(text.len())].to_owned()
}

/// The cause that has no further cause.
fn innermost(mut error: &dyn Error) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The cause of this type.
fn find<'a, T: Error + 'static>(mut error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    loop {
        match error.downcast_ref() {
            Some(found) => return Some(found),
            None => error = error.source()?,
        }
    }
}
