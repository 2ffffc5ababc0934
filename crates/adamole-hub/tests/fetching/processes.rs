//! Several processes with one cache, and processes that are killed.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::server::etag;
use crate::*;

const FILE: &str = "model.safetensors";

/// Fetches in a process of its own.
fn spawn(world: &World) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "processes::child", "--ignored", "--nocapture"]);
    command.env("HF_ENDPOINT", world.server.endpoint()).env("HF_HUB_CACHE", world.cache());
    command.env("HF_HOME", world.folder.path()).env("ADAMOLE_HUB_TEST", "1");
    for name in ["HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"] {
        command.env_remove(name);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn child() {
    if std::env::var_os("ADAMOLE_HUB_TEST").is_none() {
        return; // Somebody runs the ignored tests: their own hub and cache are not to be touched.
    }
    let hub = Hub::from_env().unwrap().with_network(impatient());
    let source = Source::parse("org/name").unwrap();
    hub.fetch(&source, Kind::Model, &Wanted::new([FILE]), &mut |event| {
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), "{}", short(&event));
    })
    .unwrap();
}

#[test]
fn variables_tell_the_hub_the_cache_and_the_token() {
    let world = World::new(Site { token: Some("hf_of_home"), ..site(&[(FILE, b"content")]) }, right);
    let token = world.folder.path().join("token");
    std::fs::write(&token, "hf_of_home\n").unwrap();
    assert!(spawn(&world).wait().unwrap().success());
    assert!(world.root().is_dir());
    std::fs::remove_file(token).unwrap();
    std::fs::remove_dir_all(world.cache()).unwrap();
    assert!(!spawn(&world).wait().unwrap().success());
}

#[test]
fn processes_wait_for_the_one_that_fetches() {
    let content = bytes(100_000);
    let mut world = World::new(site(&[(FILE, &content)]), |_, answer| Answer {
        // The whole takes half a second, for the others to come in time.
        pause: Duration::from_millis(if answer.body.len() > 1000 { 50 } else { 0 }),
        ..answer
    });
    let children: Vec<_> = (0..4).map(|_| spawn(&world)).collect();
    let mut waited = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let events = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{events}");
        waited += usize::from(events.contains(&format!("waiting {FILE}")));
    }
    assert_eq!(world.server.offsets(), [None], "one transfer");
    assert!(waited >= 1, "nobody waited, so this did not test anything");
    let snapshot = world.fetch(&[FILE]).unwrap();
    assert_eq!(std::fs::read(snapshot.join(FILE)).unwrap(), content);
}

#[test]
fn threads_wait_for_the_one_that_fetches() {
    let world = World::new(site(&[(FILE, &bytes(100_000))]), |_, answer| Answer {
        pause: Duration::from_millis(if answer.body.len() > 1000 { 20 } else { 0 }),
        ..answer
    });
    let (hub, source, wanted) = (world.hub(), Source::parse("org/name").unwrap(), Wanted::new([FILE]));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| hub.fetch(&source, Kind::Model, &wanted, &mut |_| ()).unwrap());
        }
    });
    assert_eq!(world.server.offsets(), [None]);
}

#[test]
fn what_a_killed_process_left_is_continued() {
    let content = bytes(100_000);
    let mut world = World::new(site(&[(FILE, &content)]), |request, answer| Answer {
        pause: Duration::from_millis(if request.is_transfer() && request.header("range").is_none() { 200 } else { 0 }),
        ..answer
    });
    let mut child = spawn(&world);
    let partial = world.root().join("blobs").join(format!("{}.incomplete", etag(&content)));
    let size = || std::fs::metadata(&partial).map_or(0, |metadata| metadata.len());
    let start = Instant::now();
    while size() < 20_000 {
        assert!(start.elapsed() < Duration::from_secs(60), "the child does not get on");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let kept = size();
    let snapshot = world.fetch(&[FILE]).unwrap();
    assert_eq!(std::fs::read(snapshot.join(FILE)).unwrap(), content);
    assert_eq!(world.server.offsets(), [None, Some(kept as usize)]);
}
