//! Folders and cached repositories are found; what is not there is named.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};

use adamole_hub::{Cache, ENDPOINT, Hub, HubError, Kind, Source, Wanted};
use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A cache that has `org/name` at `main` and at a pull request.
fn cache() -> (TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("models--org--name");
    std::fs::create_dir_all(root.join("snapshots").join(COMMIT)).unwrap();
    std::fs::create_dir_all(root.join("refs/refs/pr")).unwrap();
    std::fs::write(root.join("refs/main"), COMMIT).unwrap();
    std::fs::write(root.join("refs/refs/pr/1"), format!("{COMMIT}\n")).unwrap();
    std::fs::write(root.join("refs/gone"), "ff".repeat(20)).unwrap();
    std::fs::write(root.join("refs/evil"), "../../..").unwrap();
    let cache = Cache::new(folder.path());
    (folder, cache)
}

fn locate(name: &str, kind: Kind, cache: &Cache) -> Result<PathBuf, HubError> {
    let hub = Hub::new(ENDPOINT, cache.clone())?.with_offline(true);
    hub.fetch(&Source::parse(name)?, kind, &Wanted::default(), &mut |_| ())
}

#[test]
fn a_cached_repository_is_its_snapshot() {
    let (folder, cache) = cache();
    let snapshot = folder.path().join("models--org--name/snapshots").join(COMMIT);
    for name in ["org/name", "org/name@main", "org/name@refs/pr/1", &format!("org/name@{COMMIT}")] {
        assert_eq!(locate(name, Kind::Model, &cache).unwrap(), snapshot, "{name}");
    }
}

#[test]
fn a_folder_is_itself() {
    let (folder, cache) = cache();
    let name = folder.path().to_str().unwrap();
    assert_eq!(locate(name, Kind::Dataset, &cache).unwrap(), folder.path());
    // A name that could be a repository is a folder if there is one: the tests run in this crate's folder.
    assert_eq!(locate("src", Kind::Model, &cache).unwrap(), Path::new("src"));
}

#[test]
fn what_is_not_cached_is_named_with_its_place() {
    let (_folder, cache) = cache();
    let message = |name, kind| locate(name, kind, &cache).unwrap_err().to_string();
    let dataset = message("org/name", Kind::Dataset);
    assert!(dataset.contains("`org/name` was not found") && dataset.contains("datasets--org--name"), "{dataset}");
    let revision = message("org/name@v2", Kind::Model);
    assert!(revision.contains("refs/v2 does not exist; cached: evil, gone, main, refs/pr/1"), "{revision}");
    let directory = message("org/name@refs/pr", Kind::Model);
    assert!(directory.contains("not its revision `refs/pr`"), "{directory}");
    for name in ["org/name@gone", "org/name@evil"] {
        let error = locate(name, Kind::Model, &cache).unwrap_err();
        assert!(matches!(&error, HubError::RevisionNotCached { .. }), "{error}");
    }
}

#[test]
fn a_path_is_never_looked_up_in_the_cache() {
    let (_folder, cache) = cache();
    for name in ["/no/where", "./models", "../models", "a/b/c", "models/", "my model", "C:\\models"] {
        let error = locate(name, Kind::Model, &cache).unwrap_err();
        assert!(matches!(&error, HubError::MissingFolder(path) if path == Path::new(name)), "{name}: {error}");
    }
    let error = locate("./Cargo.toml", Kind::Model, &cache).unwrap_err();
    assert!(matches!(error, HubError::NotAFolder(_)), "{error}");
}

#[test]
fn names_that_cannot_be_are_refused() {
    assert!(matches!(Source::parse(""), Err(HubError::EmptyName)));
    for name in ["org/name@", "org/name@../../etc", "org/name@/etc"] {
        assert!(matches!(Source::parse(name), Err(HubError::InvalidRevision { .. })), "{name}");
    }
    assert_eq!(Source::parse("org/name@v1").unwrap().to_string(), "org/name@v1");
}
