//! What the hub does not give, and what the error tells about it.

use crate::*;

/// The error if every request for what `which` holds is answered so.
fn error_of(which: fn(&Request) -> bool, token: bool, answer: impl Fn() -> Answer + Send + 'static) -> HubError {
    let mut world = World::new(model(), move |request, right| if which(request) { answer() } else { right });
    let mut hub = world.hub();
    if token {
        hub = hub.with_token("hf_secret").unwrap();
    }
    let error = world.fetch_with(&hub, "org/name", &["config.json"]).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hf_secret"), "{error:?}");
    assert!(world.events.iter().all(|event| !event.starts_with("retrying")), "{:?}", world.events);
    error
}

#[test]
fn a_gated_repository_says_whether_a_token_was_sent() {
    for status in [401, 403] {
        for which in [Request::is_listing, Request::is_transfer, |request: &Request| request.method == "HEAD"] {
            for token in [false, true] {
                let error = error_of(which, token, move || Answer::error(status, "GatedRepo"));
                assert!(matches!(error, HubError::Gated { token_given, .. } if token_given == token), "{error}");
            }
        }
    }
}

#[test]
fn a_token_is_needed_right_or_refused() {
    let site = || Site { token: Some("hf_right"), ..model() };
    let mut world = World::new(site(), right);
    let hub = world.hub().with_token("hf_right\n").unwrap();
    world.fetch_with(&hub, "org/name", &["config.json"]).unwrap();
    for (hub, given) in [(world.hub(), false), (world.hub().with_token("hf_wrong").unwrap(), true)] {
        let error = world.fetch_with(&hub, "org/name", &["config.json"]).unwrap_err();
        assert!(matches!(error, HubError::Gated { token_given, .. } if token_given == given), "{error}");
    }
    let error = error_of(Request::is_listing, false, || Answer::error(401, ""));
    assert!(matches!(error, HubError::TokenMissing { .. }), "{error}");
    let error = error_of(Request::is_listing, true, || Answer::error(401, ""));
    assert!(matches!(error, HubError::TokenRefused { .. }), "{error}");
    assert!(matches!(world.hub().with_token("hf\r\nHost: evil"), Err(HubError::InvalidToken)));
}

#[test]
fn an_unknown_name_is_answered_with_similar_ones() {
    let mut world = World::new(model(), right);
    world.fetch(&["config.json"]).unwrap();
    let hub = world.hub().with_known_names(["org/nam", "other/thing"]);
    let error = world.fetch_with(&hub, "org/names", &["config.json"]).unwrap_err();
    let similar = matches!(&error, HubError::RepositoryNotFound { similar, .. } if similar == &["org/name", "org/nam"]);
    assert!(similar, "{error}");
    assert!(error.to_string().contains("no model `org/names`, or it is private; similar: `org/name`"), "{error}");
    let known = ["meta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-13b-hf", "aps/super_glue"];
    for (name, nearest) in [
        ("meta-lama/llama-2-7b-hf", Some("meta-llama/Llama-2-7b-hf")),
        ("google/super_glue", Some("aps/super_glue")),
        ("openai/whisper", None),
    ] {
        let error = world.fetch_with(&world.hub().with_known_names(known), name, &[]).unwrap_err();
        let HubError::RepositoryNotFound { similar, .. } = &error else { panic!("{error}") };
        assert_eq!(similar.first().map(String::as_str), nearest, "{name}");
    }
    // Without a token, the hub does not say whether there is such a repository.
    let error = error_of(Request::is_listing, false, || Answer::error(401, "RepoNotFound"));
    assert!(matches!(error, HubError::RepositoryNotFound { token_given: false, .. }), "{error}");
    let error = error_of(Request::is_listing, true, || Answer::error(404, ""));
    assert!(matches!(error, HubError::RepositoryNotFound { token_given: true, .. }), "{error}");
}

#[test]
fn an_unknown_revision_is_named() {
    let mut world = World::new(model(), right);
    let error = world.fetch_with(&world.hub(), "org/name@v2", &["config.json"]).unwrap_err();
    assert_eq!(error.to_string(), "`org/name` has no revision `v2`");
}

#[test]
fn files_that_are_not_there_are_named_with_those_that_are() {
    let mut world = World::new(model(), right);
    let error = world.fetch(&["config.json", "none.json", "*.bin"]).unwrap_err();
    let expected = "`org/name` at `main` has no `none.json`, `*.bin`; \
                    it has `a/b/c.txt`, `config.json`, `empty`, `model.safetensors`";
    assert_eq!(error.to_string(), expected);
    assert_eq!(world.server.log().len(), 1, "nothing is transferred in vain");
    let wanted = Wanted::new(["config.json"]).and_if_present(["none.json", "*.bin"]);
    world.hub().fetch(&Source::parse("org/name").unwrap(), Kind::Model, &wanted, &mut |_| ()).unwrap();

    for which in [Request::is_transfer, |request: &Request| request.method == "HEAD"] {
        let error = error_of(which, false, || Answer::error(404, "EntryNotFound"));
        assert!(matches!(&error, HubError::FilesNotFound { missing, .. } if missing == &["config.json"]), "{error}");
    }
    let files: Vec<_> = (10..30).map(|i| (format!("file-{i}"), vec![])).collect();
    let mut world = World::new(Site { files: files.into_iter().collect(), ..Site::default() }, right);
    let message = world.fetch(&["none"]).unwrap_err().to_string();
    assert!(message.ends_with("`file-19` and 10 more"), "{message}");
}

#[test]
fn access_may_be_refused_without_a_reason() {
    let error = error_of(Request::is_listing, true, || Answer::error(403, ""));
    assert!(matches!(&error, HubError::Forbidden { message, .. } if message == "no, sorry"), "{error}");
}
