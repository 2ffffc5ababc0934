//! Uploads.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hf_hub::progress::{Progress as HubProgress, ProgressEvent, ProgressHandler, UploadEvent};
use hf_hub::repository::CommitOperation;
use hf_hub::{HFError, HFRepository, RepoTypeModel, split_id};
use tokio::time::timeout;

use super::client::Client;
use super::refusal::bad_answer;
use super::remote::Remote;
use crate::event::{Event, Progress};
use crate::hub::is_full_commit;
use crate::upload::Content;
use crate::{Cache, Hub, HubError, Kind, Network, Pushed, Source, Upload};

/// The hub answers a commit when it has looked through all of it.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(600);

impl Hub {
    /// Puts files into the model repository of this name, as one commit on the branch after `@` (`main` by default). A
    /// repository and a branch that do not exist are created. Other files of the repository stay.
    ///
    /// Large files go by Xet where the hub has it.
    ///
    /// # Errors
    ///
    /// [`HubError`]: among others there is no token, the token does not allow it, the repository is public but should be
    /// private, or a file cannot be read. Nothing has changed then, except that the repository may have been created.
    pub fn push(
        &self,
        target: &Source,
        upload: &Upload,
        progress: &mut dyn FnMut(Event<'_>),
    ) -> Result<Pushed, HubError> {
        let repository = target.repository().ok().filter(|repository| repository.id.contains('/'));
        let repository = repository.ok_or_else(|| HubError::NoRepository { name: target.to_string() })?;
        if self.is_offline {
            return Err(HubError::Offline { name: repository.id.clone() });
        }
        if self.token.is_none() {
            return Err(HubError::TokenNeeded { name: repository.id.clone() });
        }
        // Files that cannot be read are found before anything is created on the hub.
        for (_, content) in &upload.files {
            if let Content::File(path) = content {
                std::fs::File::open(path).map_err(|source| HubError::Io { path: path.clone(), source })?;
            }
        }
        let network = Network { read_timeout: self.network.read_timeout.max(COMMIT_TIMEOUT), ..self.network.clone() };
        let patient = self.clone().with_network(network);
        // Nothing is written to a cache; Xet keeps what it knows of chunks beside it.
        let cache = self.cache.clone().unwrap_or_else(|| Cache::new(std::env::temp_dir().join("hub")));
        let client = Client::new(&patient, &cache)?;
        let (owner, name) = split_id(&repository.id);
        let remote = Remote::new(&client, Kind::Model, repository);
        Target { remote: &remote, model: client.hf.model(owner, name) }.push(upload, progress)
    }
}

/// The repository that takes an upload.
struct Target<'a> {
    remote: &'a Remote<'a>,
    model: HFRepository<RepoTypeModel>,
}

impl Target<'_> {
    fn push(&self, upload: &Upload, progress: &mut Progress<'_>) -> Result<Pushed, HubError> {
        let network = &self.remote.client.hub.network;
        let is_new = !network.retry(progress, |_| self.exists(upload.is_private))?;
        if is_new {
            network.retry(progress, |_| self.create(upload.is_private))?;
        }
        let branch = self.remote.repository.revision.as_str();
        if branch != "main" {
            network.retry(progress, |_| self.create_branch(branch))?;
        }
        let commit = network.retry(progress, |progress| self.commit(branch, upload, progress))?;
        let page = self.remote.repository.id.split('/').chain((branch != "main").then_some("tree"));
        let url = self.remote.client.url(page.chain((branch != "main").then_some(branch))).into();
        Ok(Pushed { url, commit, is_new })
    }

    /// Whether the repository exists; an error if it is public and must not be.
    fn exists(&self, must_be_private: bool) -> Result<bool, HubError> {
        match self.ask(async { self.model.info().expand(vec!["private".to_owned()]).send().await }) {
            Ok(info) if must_be_private && info.private != Some(true) => {
                Err(HubError::NotPrivate { name: self.remote.repository.id.clone() })
            }
            Ok(_) => Ok(true),
            Err(HubError::RepositoryNotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn create(&self, is_private: bool) -> Result<(), HubError> {
        let create = self.remote.client.hf.create_repository().repo_id(&self.remote.repository.id);
        // A try whose answer was lost may have created it.
        let create = create.repo_type(RepoTypeModel).private(is_private).exist_ok(true);
        self.ask(async { create.send().await }).map(drop)
    }

    fn create_branch(&self, branch: &str) -> Result<(), HubError> {
        self.ask(async {
            match self.model.create_branch().branch(branch).send().await {
                Err(HFError::Conflict { .. }) => Ok(()),
                created => created,
            }
        })
    }

    fn commit(&self, branch: &str, upload: &Upload, progress: &mut Progress<'_>) -> Result<String, HubError> {
        let operation = |(name, content): &(String, Content)| match content {
            Content::File(path) => CommitOperation::add_file(name, path),
            Content::Text(text) => CommitOperation::add_bytes(name, text.clone().into_bytes()),
        };
        let sent = Arc::new(Sent::default());
        let commit = self.model.create_commit().operations(upload.files.iter().map(operation).collect());
        let commit = commit.commit_message(&upload.message).revision(branch).progress(HubProgress::from(sent.clone()));
        let committed = self.ask(async {
            let mut commit = pin!(commit.send());
            loop {
                match timeout(Duration::from_millis(100), &mut commit).await {
                    Ok(committed) => break committed,
                    Err(_) => progress(Event::Uploading { done: sent.0.load(Relaxed), total: sent.1.load(Relaxed) }),
                }
            }
        })?;
        let commit = committed.commit_oid.unwrap_or_default();
        match is_full_commit(&commit) {
            true => Ok(commit),
            false => Err(bad_answer(&self.remote.client.endpoint, format!("{commit:?} is no commit"))),
        }
    }

    /// Waits for the hub's answer.
    fn ask<T>(&self, request: impl Future<Output = Result<T, HFError>>) -> Result<T, HubError> {
        self.remote.client.wait(request).map_err(|error| match self.remote.failed(error, None) {
            HubError::Forbidden { name, host, message } => HubError::UploadRefused { name, host, message },
            error => error,
        })
    }
}

/// The bytes of an upload that are sent, and all of them; set from any thread.
#[derive(Default)]
struct Sent(AtomicU64, AtomicU64);

impl ProgressHandler for Sent {
    fn on_progress(&self, event: &ProgressEvent) {
        match event {
            ProgressEvent::Upload(UploadEvent::Start { total_bytes, .. }) => self.1.store(*total_bytes, Relaxed),
            ProgressEvent::Upload(UploadEvent::Progress { bytes_completed, .. }) => {
                self.0.store(*bytes_completed, Relaxed)
            }
            _ => {}
        }
    }
}
