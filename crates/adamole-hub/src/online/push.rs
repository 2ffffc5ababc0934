//! Putting files onto the hub.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hf_hub::progress::{Progress as HubProgress, ProgressEvent, ProgressHandler, UploadEvent};
use hf_hub::repository::CommitOperation;
use hf_hub::{HFError, HFRepository, RepoTypeModel, split_id};
use reqwest::Url;
use tokio::time::timeout;

use super::client::Client;
use super::refusal::bad_answer;
use super::remote::Remote;
use crate::event::{Event, Progress};
use crate::source::Repository;
use crate::upload::Content;
use crate::{Cache, Hub, HubError, Kind, Network, Pushed, Source, Upload};

/// The hub answers a commit when it has looked through all of it.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(600);

impl Hub {
    /// Puts files into the model repository of this name, which is made if there is none, as one commit on the branch
    /// that stands after `@` (`main` if none does), which is made, too. Other files of the repository stay.
    ///
    /// Large files go by Xet where the hub has it.
    ///
    /// # Errors
    ///
    /// [`HubError`]: among others there is no token, the token may not write, the repository is public but was to be
    /// private, or a file cannot be read. Nothing was changed then, except that the repository may have been made.
    pub fn push(
        &self,
        target: &Source,
        upload: &Upload,
        progress: &mut dyn FnMut(Event<'_>),
    ) -> Result<Pushed, HubError> {
        let repository = target.repository().filter(|repository| repository.id.contains('/'));
        let repository = repository.ok_or_else(|| HubError::NoRepository { name: target.to_string() })?;
        if self.is_offline {
            return Err(HubError::Offline { name: repository.id.clone() });
        }
        if self.token.is_none() {
            return Err(HubError::TokenNeeded { name: repository.id.clone() });
        }
        // What an upload takes is read before anything is made on the hub.
        for (_, content) in &upload.files {
            if let Content::File(path) = content {
                let opened = std::fs::File::open(path);
                opened.map_err(|source| HubError::Io { path: path.clone(), source })?;
            }
        }
        let network = Network { read_timeout: self.network.read_timeout.max(COMMIT_TIMEOUT), ..self.network.clone() };
        let patient = self.clone().with_network(network);
        // Nothing is written to a cache; Xet keeps what it knows of chunks beside it.
        let cache = self.cache.clone().unwrap_or_else(|| Cache::new(std::env::temp_dir().join("hub")));
        let client = Client::new(&patient, &cache)?;
        Target::new(&client, repository).push(upload, progress)
    }
}

/// The repository that takes an upload.
struct Target<'a> {
    remote: Remote<'a>,
    model: HFRepository<RepoTypeModel>,
    id: &'a str,
    branch: &'a str,
}

impl<'a> Target<'a> {
    fn new(client: &'a Client<'a>, repository: &'a Repository) -> Self {
        let Repository { id, revision } = repository;
        let (owner, name) = split_id(id);
        let model = client.hub.model(owner, name);
        Self { remote: Remote::new(client, Kind::Model, repository), model, id, branch: revision }
    }

    fn push(&self, upload: &Upload, progress: &mut Progress<'_>) -> Result<Pushed, HubError> {
        let network = self.remote.client.network();
        let is_new = !network.retry(progress, || self.exists(upload.is_private))?;
        if is_new {
            network.retry(progress, || self.create(upload.is_private))?;
        }
        if self.branch != "main" {
            network.retry(progress, || self.create_branch())?;
        }
        let mut tries = network.tries();
        let commit = loop {
            match self.commit(upload, progress) {
                Ok(commit) => break commit,
                Err(error) => tries.again(error, progress)?,
            }
        };
        Ok(Pushed { url: self.page().into(), commit, is_new })
    }

    /// Whether the repository is there; an error if it is public and must not be.
    fn exists(&self, must_be_private: bool) -> Result<bool, HubError> {
        let expand = ["private".to_owned()].to_vec();
        let info = self.remote.client.wait(async { self.model.info().expand(expand).send().await });
        match info.map_err(|error| self.refused(error)) {
            Ok(info) if must_be_private && info.private != Some(true) => {
                Err(HubError::NotPrivate { name: self.id.into() })
            }
            Ok(_) => Ok(true),
            Err(HubError::RepositoryNotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn create(&self, is_private: bool) -> Result<(), HubError> {
        let hub = &self.remote.client.hub;
        let create = async {
            let create = hub.create_repository().repo_id(self.id).repo_type(RepoTypeModel).private(is_private);
            // A try whose answer was lost may have made it.
            create.exist_ok(true).send().await
        };
        self.remote.client.wait(create).map(drop).map_err(|error| self.refused(error))
    }

    fn create_branch(&self) -> Result<(), HubError> {
        let created = self.remote.client.wait(async { self.model.create_branch().branch(self.branch).send().await });
        match created {
            Err(HFError::Conflict { .. }) => Ok(()),
            created => created.map_err(|error| self.refused(error)),
        }
    }

    fn commit(&self, upload: &Upload, progress: &mut Progress<'_>) -> Result<String, HubError> {
        let sent = Arc::new(Sent::default());
        let operation = |(name, content): &(String, Content)| match content {
            Content::File(path) => CommitOperation::add_file(name, path),
            Content::Text(text) => CommitOperation::add_bytes(name, text.clone().into_bytes()),
        };
        let commit = self.model.create_commit().operations(upload.files.iter().map(operation).collect());
        let commit =
            commit.commit_message(&upload.message).revision(self.branch).progress(HubProgress::from(sent.clone()));
        let committed = self.remote.client.wait(async {
            let mut commit = pin!(commit.send());
            loop {
                match timeout(Duration::from_millis(100), &mut commit).await {
                    Ok(committed) => break committed,
                    Err(_) => progress(sent.event()),
                }
            }
        });
        let commit = committed.map_err(|error| self.refused(error))?.commit_oid.unwrap_or_default();
        let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        match is_commit {
            true => Ok(commit),
            false => Err(bad_answer(&self.page(), format!("{commit:?} is no commit"))),
        }
    }

    /// Why the hub does not take something.
    fn refused(&self, error: HFError) -> HubError {
        match self.remote.failed(error, None) {
            HubError::Forbidden { name, host, message } => HubError::UploadRefused { name, host, message },
            error => error,
        }
    }

    fn page(&self) -> Url {
        let mut url = self.remote.client.endpoint().clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(self.id.split('/'));
            if self.branch != "main" {
                path.extend(["tree", self.branch]);
            }
        }
        url
    }
}

/// How much of an upload is done, told from any thread.
#[derive(Default)]
struct Sent {
    done: AtomicU64,
    total: AtomicU64,
}

impl Sent {
    fn event(&self) -> Event<'static> {
        Event::Uploading { done: self.done.load(Ordering::Relaxed), total: self.total.load(Ordering::Relaxed) }
    }
}

impl ProgressHandler for Sent {
    fn on_progress(&self, event: &ProgressEvent) {
        match event {
            ProgressEvent::Upload(UploadEvent::Start { total_bytes, .. }) => {
                self.total.store(*total_bytes, Ordering::Relaxed);
            }
            ProgressEvent::Upload(UploadEvent::Progress { bytes_completed, .. }) => {
                self.done.store(*bytes_completed, Ordering::Relaxed);
            }
            ProgressEvent::Upload(UploadEvent::Committing) => {
                self.done.store(self.total.load(Ordering::Relaxed), Ordering::Relaxed);
            }
            _ => {}
        }
    }
}
