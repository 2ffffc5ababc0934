//! Uploads.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hf_hub::progress::{Progress as HubProgress, ProgressEvent, ProgressHandler, UploadEvent};
use hf_hub::repository::CommitOperation;
use hf_hub::{HFError, RepoTypeModel, split_id};
use tokio::time::timeout;

use super::client::Client;
use super::refusal::bad_answer;
use super::remote::Remote;
use crate::event::Event;
use crate::hub::is_full_commit;
use crate::{Cache, Hub, HubError, Kind, Network, Source};

/// The hub answers a commit when it has looked through all of it.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(600);

/// Files for a repository of the hub, in one commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upload {
    /// The title of the commit.
    pub message: String,
    /// Whether a new repository is private. One that exists and is public is refused then.
    pub is_private: bool,
    /// Names in the repository, with the contents.
    pub files: Vec<(String, Content)>,
}

/// The content of a file of an [`Upload`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// That of the file at this path.
    File(PathBuf),
    /// This text.
    Text(String),
}

/// The result of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The page of the repository at the branch.
    pub url: String,
    /// The new commit.
    pub commit: String,
    /// Whether the repository was created.
    pub is_new: bool,
}

impl Hub {
    /// Puts files into the model repository of this name, as one commit on the branch after `@` (`main` by default). A
    /// repository and a branch that do not exist are created. Other files of the repository stay. Large files go by Xet
    /// where the hub has it.
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
        let (id, branch) = (&repository.id, repository.revision.as_str());
        if self.is_offline {
            return Err(HubError::Offline { name: id.clone() });
        }
        if self.token.is_none() {
            return Err(HubError::TokenNeeded { name: id.clone() });
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
        let remote = Remote::new(&client, Kind::Model, repository);

        let is_new = !self.network.retry(progress, |_| remote.exists(upload.is_private))?;
        if is_new {
            // A try whose answer was lost may have created it.
            let create = || client.hf.create_repository().repo_id(id).repo_type(RepoTypeModel).exist_ok(true);
            let create = || create().private(upload.is_private).send();
            self.network.retry(progress, |_| remote.answer(async { create().await.map(drop) }))?;
        }
        let mut page = id.split('/').collect::<Vec<_>>();
        if branch != "main" {
            self.network.retry(progress, |_| remote.create_branch(branch))?;
            page.extend(["tree", branch]);
        }
        let commit = self.network.retry(progress, |progress| remote.commit(upload, progress))?;
        Ok(Pushed { url: client.url(page).into(), commit, is_new })
    }
}

impl Remote<'_> {
    fn model(&self) -> hf_hub::HFRepository<RepoTypeModel> {
        let (owner, name) = split_id(&self.repository.id);
        self.client.hf.model(owner, name)
    }

    /// Whether the repository exists; an error if it is public and must not be.
    fn exists(&self, must_be_private: bool) -> Result<bool, HubError> {
        match self.answer(async { self.model().info().expand(vec!["private".to_owned()]).send().await }) {
            Ok(info) if must_be_private && info.private != Some(true) => {
                Err(HubError::NotPrivate { name: self.repository.id.clone() })
            }
            Ok(_) => Ok(true),
            Err(HubError::RepositoryNotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn create_branch(&self, branch: &str) -> Result<(), HubError> {
        self.answer(async {
            match self.model().create_branch().branch(branch).send().await {
                Err(HFError::Conflict { .. }) => Ok(()),
                created => created,
            }
        })
    }

    fn commit(&self, upload: &Upload, progress: &mut dyn FnMut(Event<'_>)) -> Result<String, HubError> {
        let operation = |(name, content): &(String, Content)| match content {
            Content::File(path) => CommitOperation::add_file(name, path),
            Content::Text(text) => CommitOperation::add_bytes(name, text.clone().into_bytes()),
        };
        let (model, sent) = (self.model(), Arc::new(Sent::default()));
        let commit = model.create_commit().operations(upload.files.iter().map(operation).collect());
        let commit = commit.commit_message(&upload.message).revision(&self.repository.revision);
        let committed = self.answer(async {
            let mut commit = pin!(commit.progress(HubProgress::from(sent.clone())).send());
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
            false => Err(bad_answer(&self.client.endpoint, format!("{commit:?} is no commit"))),
        }
    }

    /// The answer to a request of `hf-hub` that changes a repository.
    fn answer<T>(&self, request: impl Future<Output = Result<T, HFError>>) -> Result<T, HubError> {
        self.client.wait(request).map_err(|error| match self.failed(error, None) {
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
                self.0.store(*bytes_completed, Relaxed);
            }
            _ => {}
        }
    }
}
