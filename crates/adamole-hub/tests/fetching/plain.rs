//! When nothing goes wrong.

use crate::server::etag;
use crate::*;

#[test]
fn files_are_laid_out_as_other_programs_do() {
    let mut world = World::new(model(), right);
    let snapshot = world.fetch(&["**"]).unwrap();
    let root = world.root();
    assert_eq!(snapshot, root.join("snapshots").join(COMMIT));
    for (name, content) in model().files {
        assert_eq!(std::fs::read(snapshot.join(&name)).unwrap(), content, "{name}");
        let up = "../".repeat(2 + name.matches('/').count());
        let target = std::fs::read_link(snapshot.join(&name)).unwrap();
        assert_eq!(target.to_str().unwrap(), format!("{up}blobs/{}", etag(&content)));
    }
    assert_eq!(std::fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    let left = std::fs::read_dir(root.join("blobs")).unwrap().count();
    assert_eq!(left, 4, "nothing but blobs");
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 3, "nothing but blobs, refs and snapshots");
    assert_eq!(world.events[0], "planned 4 100003");
    assert_eq!(world.events.iter().filter(|event| event.starts_with("finished")).count(), 4);
}

#[test]
fn what_was_fetched_is_found_without_a_network() {
    let mut world = World::new(model(), right);
    let snapshot = world.fetch_with(&world.hub(), "org/name@refs/pr/1", &["*.json"]).unwrap();
    let offline = world.hub().with_offline(true);
    for name in ["org/name@refs/pr/1", &format!("org/name@{COMMIT}")] {
        assert_eq!(world.fetch_with(&offline, name, &[]).unwrap(), snapshot);
    }
    assert!(world.fetch_with(&offline, "org/name", &[]).is_err(), "main was not fetched");
}

#[test]
fn only_what_is_wanted_and_not_cached_is_transferred() {
    let mut world = World::new(model(), right);
    world.fetch(&["config.json"]).unwrap();
    assert_eq!(world.server.log().len(), 4, "the list, the headers, these once more by hf-hub, and the file");
    world.fetch(&["*.json"]).unwrap();
    assert_eq!(world.server.log().len(), 5, "the list");
    let name = format!("org/name@{COMMIT}");
    world.fetch_with(&world.hub(), &name, &["config.json"]).unwrap();
    assert_eq!(world.server.log().len(), 5, "nothing");
    world.fetch_with(&world.hub(), &name, &["config.json", "a/**"]).unwrap();
    assert_eq!(world.server.log().len(), 9);
    assert_eq!(world.server.offsets().len(), 2, "two files");
}

#[test]
fn a_data_set_is_apart_from_a_model() {
    let world = World::new(site(&[("data/cb/train.parquet", b"rows"), ("data/rte/train.parquet", b"other")]), right);
    let source = Source::parse("org/name").unwrap();
    let snapshot = world.hub().fetch(&source, Kind::Dataset, &Wanted::new(["data/cb/*"]), &mut |_| ()).unwrap();
    assert!(snapshot.starts_with(world.cache().join("datasets--org--name")));
    assert_eq!(std::fs::read(snapshot.join("data/cb/train.parquet")).unwrap(), b"rows");
    assert!(!snapshot.join("data/rte").exists());
    assert!(world.server.log().iter().all(|request| request.path.contains("/datasets/")));
}

#[test]
fn names_may_be_odd() {
    let names = ["..a", "a..", ".gitattributes", "a b", "\u{e9}"];
    let mut world = World::new(site(&names.map(|name| (name, name.as_bytes()))), right);
    let snapshot = world.fetch(&names).unwrap();
    assert!(names.iter().all(|name| std::fs::read_to_string(snapshot.join(name)).unwrap() == *name));
}

#[test]
fn hashes_are_those_of_git_and_of_large_file_storage() {
    // `git hash-object` and `sha256sum` say so.
    assert_eq!(etag(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
    assert_eq!(etag(&[b'a'; 1000]), "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
    let mut world = World::new(site(&[("small", b"hello\n"), ("large", &[b'a'; 1000])]), right);
    world.fetch(&["small", "large"]).unwrap();
}

#[test]
fn nothing_may_be_wanted() {
    let mut world = World::new(model(), right);
    let snapshot = world.fetch(&[]).unwrap();
    assert!(snapshot.is_dir());
    assert_eq!(world.fetch_with(&world.hub().with_offline(true), "org/name", &[]).unwrap(), snapshot);
}

#[test]
fn a_local_folder_comes_first() {
    let mut world = World::new(model(), right);
    let folder = world.folder.path().to_str().unwrap().to_owned();
    assert_eq!(world.fetch_with(&world.hub(), &folder, &["none"]).unwrap(), world.folder.path());
    assert!(world.server.log().is_empty());
}

#[test]
fn the_token_does_not_follow_a_redirect_to_another_server() {
    let site = Site { redirects: true, token: Some("hf_secret"), ..model() };
    let mut world = World::new(site, right);
    let hub = world.hub().with_token("hf_secret").unwrap();
    assert!(!format!("{hub:?}").contains("secret"));
    world.fetch_with(&hub, "org/name", &["*.json", "*.safetensors"]).unwrap();
    let log = world.server.log();
    let (away, home): (Vec<_>, Vec<_>) = log.iter().partition(|request| request.path.starts_with("/cdn/"));
    assert_eq!(away.len(), 4, "hf-hub asks for the headers of each file there, too");
    assert!(away.iter().all(|request| request.header("authorization").is_none()), "{away:?}");
    assert!(away.iter().all(|request| request.header("host").unwrap().starts_with("localhost:")));
    assert!(home.iter().all(|request| request.header("authorization") == Some("Bearer hf_secret")));
}

#[test]
fn a_renamed_repository_is_followed_with_the_token() {
    let site = Site { token: Some("hf_secret"), ..model() };
    let mut world = World::new(site, |request, answer| match request.path.replace("org/old", "org/name") {
        new if new != request.path => Answer::new(307, "").with("location", new),
        _ => answer,
    });
    let hub = world.hub().with_token("hf_secret").unwrap();
    let snapshot = world.fetch_with(&hub, "org/old", &["config.json"]).unwrap();
    assert!(snapshot.starts_with(world.cache().join("models--org--old")));
}

#[test]
fn offline_means_the_cache_alone() {
    let mut world = World::new(model(), right);
    let offline = world.hub().with_offline(true);
    let error = world.fetch_with(&offline, "org/name", &["config.json"]).unwrap_err();
    assert!(matches!(error, HubError::NotCached { .. }), "{error}");
    assert!(world.server.log().is_empty());

    let snapshot = world.fetch(&["config.json"]).unwrap();
    let requests = world.server.log().len();
    assert_eq!(world.fetch_with(&offline, "org/name", &["*.json"]).unwrap(), snapshot);
    let error = world.fetch_with(&offline, "org/name", &["*.json", "*.safetensors"]).unwrap_err();
    assert!(matches!(&error, HubError::FilesNotCached { missing, .. } if missing == &["*.safetensors"]), "{error}");
    let error = world.fetch_with(&offline, "org/name@v2", &["config.json"]).unwrap_err();
    assert!(matches!(error, HubError::RevisionNotCached { .. }), "{error}");
    assert_eq!(world.server.log().len(), requests);
}

#[test]
fn without_a_network_the_cache_is_used_with_a_warning() {
    let mut world = World::new(model(), right);
    let snapshot = world.fetch(&["config.json"]).unwrap();
    // Nobody listens on port 1.
    let away = hub("http://127.0.0.1:1", &world.cache());
    world.events.clear();
    assert_eq!(world.fetch_with(&away, "org/name", &["config.json"]).unwrap(), snapshot);
    assert_eq!(world.events.last().unwrap(), "cache the connection to 127.0.0.1 failed");
    assert_eq!(world.events.len(), 3, "two retries and the warning: {:?}", world.events);

    let error = world.fetch_with(&away, "org/name", &["model.safetensors"]).unwrap_err();
    assert!(matches!(&error, HubError::Network { host, .. } if host == "127.0.0.1"), "{error}");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("refused"), "{error:?}");
}

#[test]
fn a_link_whose_blob_is_gone_is_mended() {
    let mut world = World::new(model(), right);
    let snapshot = world.fetch(&["config.json"]).unwrap();
    std::fs::remove_dir_all(world.root().join("blobs")).unwrap();
    let offline = world.hub().with_offline(true);
    assert!(world.fetch_with(&offline, "org/name", &["config.json"]).is_err());
    world.fetch(&["config.json"]).unwrap();
    assert_eq!(std::fs::read(snapshot.join("config.json")).unwrap(), b"{}");
}
