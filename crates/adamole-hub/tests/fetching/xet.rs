//! Large files come by Xet.

use crate::server::etag;
use crate::server::storage::{CHUNK, is_asked};
use crate::*;

fn large() -> Site {
    Site { redirects: true, xet: true, token: Some("hf_secret"), ..site(&[("model.safetensors", &bytes(500_000))]) }
}

fn fetch(world: &mut World) -> PathBuf {
    let hub = world.hub().with_token("hf_secret").unwrap();
    let snapshot = world.fetch_with(&hub, "org/name", &["model.safetensors"]).unwrap();
    assert_eq!(std::fs::read(snapshot.join("model.safetensors")).unwrap(), bytes(500_000));
    snapshot
}

#[test]
fn a_large_file_comes_by_xet_and_the_token_does_not_go_there() {
    let mut world = World::new(large(), right);
    fetch(&mut world);
    assert!(world.server.offsets().is_empty(), "nothing comes as a whole");
    let log = world.server.log();
    assert!(log.iter().any(|request| request.path.starts_with("/xorb/")));
    for request in &log {
        let is_of_storage = is_asked(&request.path);
        let has_token = request.header("authorization") == Some("Bearer hf_secret");
        assert!(is_of_storage != has_token, "{request:?}");
    }
    let names: Vec<_> =
        std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "cache" || name == "xet"), "{names:?}");
}

#[test]
fn what_is_there_is_not_fetched_by_xet_again() {
    let mut world = World::new(large(), right);
    let blobs = world.root().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(format!("{}.incomplete", etag(&bytes(500_000)))), &bytes(500_000)[..300_000]).unwrap();
    fetch(&mut world);
    assert!(world.events.contains(&"started model.safetensors 300000".to_owned()), "{:?}", world.events);
    let log = world.server.log();
    let first = log.iter().filter(|request| request.path.starts_with("/xorb/")).filter_map(Request::range).min();
    assert_eq!(first.unwrap().0, (300_000 / CHUNK) * (CHUNK + 8), "from the chunk on in which byte 300000 is");
}

#[test]
fn without_a_way_to_xet_a_file_comes_by_http() {
    // As a server in front of the hub answers that knows nothing of Xet but passes the headers on.
    let mut world = World::new(large(), |request, answer| match request.path.contains("xet-read-token") {
        true => Answer::error(404, ""),
        false => answer,
    });
    fetch(&mut world);
    assert_eq!(world.server.offsets(), [None, None], "a redirect, and the file");
    assert_eq!(world.events.iter().filter(|event| event.starts_with("retrying")).count(), 1, "{:?}", world.events);
}

#[test]
fn what_comes_by_xet_is_verified() {
    let mut world = World::new(large(), |request, mut answer| {
        if request.path.starts_with("/xorb/") {
            answer.body[1000] ^= 1;
        }
        answer
    });
    fetch(&mut world);
    assert_eq!(world.server.offsets(), [None, None], "it was wrong, so it came again, by HTTP");
}
