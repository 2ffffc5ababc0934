//! Files are put onto the hub, or an error says why not.

use adamole_hub::{Content, Pushed, Upload};

use crate::*;

fn push(world: &mut World, hub: &Hub, name: &str, is_private: bool) -> Result<Pushed, HubError> {
    let weights = world.folder.path().join("weights");
    std::fs::write(&weights, "1 2 3").unwrap();
    let files =
        [("adapter_model.safetensors", Content::File(weights)), ("README.md", Content::Text("# caf\u{e9}".into()))];
    let files = files.map(|(name, content)| (name.to_owned(), content)).into();
    let upload = Upload { message: "An adapter".into(), is_private, files };
    hub.push(&Source::parse(name)?, &upload, &mut |event| world.events.push(short(&event)))
}

fn with_token(world: &World) -> Hub {
    world.hub().with_token("hf_secret").unwrap()
}

fn paths(world: &World) -> Vec<String> {
    world.server.log().iter().map(|request| format!("{} {}", request.method, request.path)).collect()
}

#[test]
fn files_come_as_one_commit_into_a_new_repository() {
    let mut world = World::new(Site { token: Some("hf_secret"), ..model() }, right);
    let hub = with_token(&world);
    let pushed = push(&mut world, &hub, "org/new", true).unwrap();
    let url = format!("{}/org/new", world.server.endpoint());
    assert_eq!(pushed, Pushed { url, commit: COMMIT.into(), is_new: true });
    let uploaded = world.server.uploaded();
    assert_eq!(uploaded["adapter_model.safetensors"], "1 2 3");
    assert_eq!(uploaded["README.md"], "# caf\u{e9}");
    let log = world.server.log();
    let create = log.iter().find(|request| request.path == "/api/repos/create").unwrap();
    let create: serde_json::Value = serde_json::from_slice(&create.body).unwrap();
    assert_eq!((&create["private"], &create["organization"]), (&true.into(), &"org".into()));
    assert!(log.iter().all(|request| request.header("authorization") == Some("Bearer hf_secret")));
    assert!(!world.cache().exists(), "nothing is written here");
}

#[test]
fn a_branch_is_made_and_taken() {
    let mut world = World::new(Site { new: Some(true), ..model() }, |request, answer| {
        // It may be there already.
        if request.path.contains("/branch/") { Answer::error(409, "") } else { answer }
    });
    let hub = with_token(&world);
    let pushed = push(&mut world, &hub, "org/new@v1", true).unwrap();
    assert!(pushed.url.ends_with("/org/new/tree/v1") && !pushed.is_new, "{pushed:?}");
    let paths = paths(&world);
    assert!(paths.contains(&"POST /api/models/org/new/branch/v1".to_owned()), "{paths:?}");
    assert!(paths.contains(&"POST /api/models/org/new/commit/v1".to_owned()), "{paths:?}");
    assert!(!paths.contains(&"POST /api/repos/create".to_owned()), "{paths:?}");
}

#[test]
fn what_was_to_be_private_does_not_become_public() {
    let mut world = World::new(Site { new: Some(false), ..model() }, right);
    let hub = with_token(&world);
    let error = push(&mut world, &hub, "org/new", true).unwrap_err();
    assert!(matches!(error, HubError::NotPrivate { .. }), "{error}");
    assert_eq!(paths(&world).len(), 1, "it was only asked about");
    push(&mut world, &hub, "org/new", false).unwrap();
}

#[test]
fn nothing_is_asked_that_cannot_succeed() {
    let mut world = World::new(model(), right);
    let hub = world.hub();
    let error = push(&mut world, &hub, "org/new", false).unwrap_err();
    assert!(matches!(error, HubError::TokenNeeded { .. }), "{error}");
    let hub = with_token(&world);
    for name in ["new", "./folder"] {
        let error = push(&mut world, &hub, name, false).unwrap_err();
        assert!(matches!(error, HubError::NoRepository { .. }), "{error}");
    }
    let error = push(&mut world, &hub.clone().with_offline(true), "org/new", false).unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error}");
    let files = vec![("a".to_owned(), Content::File(world.folder.path().join("none")))];
    let missing = Upload { files, ..Upload::default() };
    let error = hub.push(&Source::parse("org/new").unwrap(), &missing, &mut |_| ()).unwrap_err();
    assert!(matches!(error, HubError::Io { .. }), "{error}");
    assert!(world.server.log().is_empty());
}

#[test]
fn a_token_that_may_not_write_is_named() {
    for part in ["/api/repos/create", "/preupload/", "/commit/"] {
        let mut world = World::new(
            model(),
            move |request, answer| {
                if request.path.contains(part) { Answer::error(403, "") } else { answer }
            },
        );
        let hub = with_token(&world);
        let error = push(&mut world, &hub, "org/new", false).unwrap_err();
        assert!(matches!(&error, HubError::UploadRefused { message, .. } if message == "no, sorry"), "{part} {error}");
        assert!(!format!("{error} {error:?}").contains("hf_secret"));
        assert!(world.server.uploaded().is_empty() || part == "/commit/");
    }
}

#[test]
fn a_hub_with_a_problem_is_asked_again() {
    let mut seen = std::collections::HashSet::new();
    let mut world = World::new(model(), move |request, answer| {
        let is_first = seen.insert(request.path.split("/main").next().unwrap().to_owned());
        if is_first { Answer::error(503, "") } else { answer }
    });
    let hub = with_token(&world);
    push(&mut world, &hub, "org/new", false).unwrap();
    assert_eq!(world.events.iter().filter(|event| event.starts_with("retrying")).count(), 4, "{:?}", world.events);
}

#[test]
fn an_answer_that_is_no_commit_is_refused() {
    let mut world = World::new(model(), |request, answer| match request.path.contains("/commit/") {
        true => Answer::new(200, r#"{"commitOid": "../../x"}"#),
        false => answer,
    });
    let hub = with_token(&world);
    let error = push(&mut world, &hub, "org/new", false).unwrap_err();
    assert!(matches!(&error, HubError::BadAnswer { reason, .. } if reason.contains("is no commit")), "{error}");
}
