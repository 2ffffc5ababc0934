//! Files are fetched from a stand-in for the hub, whatever goes wrong on the way.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod broken;
mod disk;
mod hostile;
mod mount;
mod patterns;
mod plain;
mod processes;
mod push;
mod refused;
// Also a module of the tests of the program, so that its own modules are beside it.
#[path = "server.rs"]
mod server;
mod settings;
mod xet;

use std::path::{Path, PathBuf};
use std::time::Duration;

use adamole_hub::{Cache, Event, Hub, HubError, Kind, Network, Source, Wanted};
use server::{Answer, COMMIT, Request, Server, Site};
use tempfile::TempDir;

/// A server, and a cache of its own.
struct World {
    server: Server,
    folder: TempDir,
    /// What happened, in short.
    events: Vec<String>,
}

impl World {
    fn new(site: Site, hook: impl FnMut(&Request, Answer) -> Answer + Send + 'static) -> Self {
        Self { server: Server::start(site, hook), folder: tempfile::tempdir().unwrap(), events: Vec::new() }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// The folder of the model in the cache.
    fn root(&self) -> PathBuf {
        self.cache().join("models--org--name")
    }

    fn hub(&self) -> Hub {
        hub(&self.server.endpoint(), &self.cache())
    }

    fn fetch(&mut self, wanted: &[&str]) -> Result<PathBuf, HubError> {
        self.fetch_with(&self.hub(), "org/name", wanted)
    }

    fn fetch_with(&mut self, hub: &Hub, name: &str, wanted: &[&str]) -> Result<PathBuf, HubError> {
        let source = Source::parse(name).unwrap();
        let wanted = Wanted::new(wanted.iter().copied());
        hub.fetch(&source, Kind::Model, &wanted, &mut |event| self.events.push(short(&event)))
    }
}

fn hub(endpoint: &str, cache: &Path) -> Hub {
    Hub::new(endpoint, Cache::new(cache)).unwrap().with_network(impatient())
}

fn impatient() -> Network {
    Network {
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_millis(1500),
        tries: 3,
        retry_delay: Duration::from_millis(1),
        ..Network::default()
    }
}

fn short(event: &Event<'_>) -> String {
    match event {
        Event::Planned { files, bytes } => format!("planned {files} {bytes}"),
        Event::Started { file, offset, .. } => format!("started {file} {offset}"),
        Event::Advanced { file, .. } => format!("advanced {file}"),
        Event::Verifying { file } => format!("verifying {file}"),
        Event::Finished { file } => format!("finished {file}"),
        Event::Waiting { file } => format!("waiting {file}"),
        Event::Retrying { error, .. } => format!("retrying {error}"),
        Event::UsingCache { error, .. } => format!("cache {error}"),
        _ => "other".into(),
    }
}

fn right(_: &Request, answer: Answer) -> Answer {
    answer
}

/// `size` bytes that differ from place to place.
fn bytes(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 31 % 251 + i / 251) as u8).collect()
}

fn site(files: &[(&str, &[u8])]) -> Site {
    let files = files.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect();
    Site { files, ..Site::default() }
}

/// A small, a large and an empty file, some of them in folders.
fn model() -> Site {
    site(&[("config.json", b"{}"), ("model.safetensors", &bytes(100_000)), ("a/b/c.txt", b"c"), ("empty", b"")])
}

/// All that is below a folder: files, folders and links.
fn everything_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(everything_below(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}
