//! A server that means harm, or is no hub: no panic, nothing outside the cache, and an error with the address.

use proptest::prelude::*;
use serde_json::json;

use crate::server::etag;
use crate::*;

/// Fetches everything from a server that answers so, and makes sure that nothing was written outside the cache.
fn fetch(hook: impl FnMut(&Request, Answer) -> Answer + Send + 'static) -> Result<PathBuf, HubError> {
    let mut world = World::new(model(), hook);
    let result = world.fetch(&["**"]);
    let cache = world.cache();
    for path in everything_below(world.folder.path()) {
        assert!(path.starts_with(&cache), "{}", path.display());
    }
    // Names and hashes must not choose another repository's folder either.
    for entry in std::fs::read_dir(&cache).into_iter().flatten().flatten() {
        assert!([".locks", "models--org--name"].map(Into::into).contains(&entry.file_name()), "{entry:?}");
    }
    result
}

fn bad_answer(hook: impl FnMut(&Request, Answer) -> Answer + Send + 'static) -> String {
    match fetch(hook) {
        Err(HubError::BadAnswer { url, reason }) => format!("{url} {reason}"),
        other => panic!("{other:?}"),
    }
}

fn listing(body: impl Into<Vec<u8>>) -> impl FnMut(&Request, Answer) -> Answer + Send + 'static {
    let body = body.into();
    move |request, answer| if request.is_listing() { Answer::new(200, body.clone()) } else { answer }
}

fn with_header(
    which: fn(&Request) -> bool,
    name: &'static str,
    value: impl Into<Vec<u8>>,
) -> impl FnMut(&Request, Answer) -> Answer + Send + 'static {
    let value = value.into();
    move |request, answer| if which(request) { answer.with(name, value.clone()) } else { answer }
}

fn is_head(request: &Request) -> bool {
    request.method == "HEAD"
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link_in_the_place_of_a_part() {
    let content = bytes(5000);
    let mut world = World::new(site(&[("model.safetensors", &content)]), right);
    let outside = world.folder.path().join("outside");
    std::fs::write(&outside, "mine").unwrap();
    let partial = world.root().join("blobs").join(format!("{}.incomplete", etag(&content)));
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&outside, &partial).unwrap();
    let snapshot = world.fetch(&["model.safetensors"]).unwrap();
    assert_eq!(std::fs::read(snapshot.join("model.safetensors")).unwrap(), content);
    assert_eq!(std::fs::read_to_string(outside).unwrap(), "mine");
}

#[test]
fn an_answer_that_is_no_list_of_files_is_refused() {
    for body in ["", "<html>", "null", "{}", "[]", r#"{"sha": 1, "siblings": []}"#, "\u{feff}{"] {
        assert!(bad_answer(listing(body)).contains("/api/models/org/name/revision/main"), "{body}");
    }
}

#[test]
fn a_list_of_files_without_an_end_is_not_held_in_memory() {
    let files = json!([{ "rfilename": "config.json" }]);
    let body = json!({ "id": "org/name", "sha": COMMIT, "siblings": files, "x": "x".repeat(65 << 20) }).to_string();
    assert!(bad_answer(listing(body)).contains("a list of files of more than 67108864 bytes"));
}

#[test]
fn what_is_not_http_is_refused() {
    let answer = || Answer::new(200, "").with("a b", "c");
    assert!(bad_answer(move |_, _| answer()).starts_with("http://127.0.0.1"));
    let error = fetch(|_, _| Answer::new(200, "").with("x", "y".repeat(100_000))).unwrap_err();
    assert!(matches!(error, HubError::BadAnswer { .. }), "{error:?}");
}

#[test]
fn names_of_files_cannot_lead_out_of_the_cache() {
    for name in [
        "/etc/adamole",
        "../../../../evil",
        "a/../../evil",
        "..",
        "",
        "a\\..\\evil",
        "a\0b",
        "a//b",
        "\u{1b}[2J",
        "/",
        "a/..",
        "./a",
        "a/",
        "C:a",
    ] {
        let body = json!({ "id": "org/name", "sha": COMMIT, "siblings": [{ "rfilename": name }] }).to_string();
        assert!(bad_answer(listing(body)).contains("is no name of a file"), "{name:?}");
    }
}

#[test]
fn commits_cannot_lead_out_of_the_cache() {
    let other = "f".repeat(40);
    for commit in ["", "main", "../../../evil", "0123456789abcdef", "/0123456789abcdef0123456789abcdef0123456"] {
        let body = json!({ "id": "org/name", "sha": commit, "siblings": [] }).to_string();
        assert!(bad_answer(listing(body)).contains("is no commit"), "{commit:?}");
    }
    assert!(bad_answer(with_header(is_head, "x-repo-commit", other)).contains("another commit"));
}

#[test]
fn hashes_cannot_lead_out_of_the_cache() {
    for hash in ["", "\"\"", "../../../evil", "/etc/adamole", "main", &"z".repeat(40), "\u{e9}", "\"0123\""] {
        assert!(bad_answer(with_header(is_head, "etag", hash)).contains("no hash (ETag)"), "{hash:?}");
    }
    // One hash for all files: the content decides.
    let error = fetch(with_header(is_head, "x-linked-etag", etag(b"other"))).unwrap_err();
    assert!(matches!(error, HubError::WrongHash { .. }), "{error}");
}

#[test]
fn a_size_must_be_known() {
    for size in ["x", "-1", "18446744073709551616"] {
        let error = fetch(with_header(is_head, "content-length", size)).unwrap_err();
        assert!(matches!(error, HubError::BadAnswer { .. } | HubError::Network { .. }), "{size}: {error}");
    }
    // More than any disk holds, and more than all sizes together may be.
    let error = fetch(with_header(is_head, "x-linked-size", u64::MAX.to_string())).unwrap_err();
    assert!(matches!(error, HubError::WrongSize { expected: u64::MAX, .. }), "{error}");
}

#[test]
fn redirects_end() {
    let mut world = World::new(model(), |request, _| Answer::new(302, "").with("location", request.path.clone()));
    let error = world.fetch(&["**"]).unwrap_err();
    assert!(error.to_string().ends_with("more than 10 redirects"), "{error}");
    assert_eq!(world.server.log().len(), 11);

    for location in ["", "ftp://localhost/x", "file:///etc/passwd", "http://", "http://a b/"] {
        let reason = bad_answer(move |request, answer| match request.is_transfer() {
            true => Answer::new(302, "").with("location", location),
            false => answer,
        });
        let is_named = ["a redirect to nowhere", "scheme is not allowed"].iter().any(|named| reason.contains(named));
        assert!(is_named, "{location:?} {reason}");
    }
}

#[test]
fn names_that_are_file_and_folder_at_once_are_an_error() {
    let body =
        json!({ "id": "org/name", "sha": COMMIT, "siblings": [{ "rfilename": "empty" }, { "rfilename": "empty/x" }] })
            .to_string();
    let error = fetch(move |request, answer| match request {
        _ if request.is_listing() => Answer::new(200, body.clone()),
        _ if request.path.ends_with("empty/x") => {
            Answer::new(200, "").with("etag", etag(b"")).with("x-repo-commit", COMMIT)
        }
        _ => answer,
    });
    assert!(matches!(error, Err(HubError::NotWritable { .. })), "{error:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_list_of_files_is_survived(body: Vec<u8>) {
        prop_assert!(fetch(listing(body)).is_err());
    }

    #[test]
    fn any_names_are_survived(names in prop::collection::vec("[a./\\\\\\PC]{0,6}|(\\.\\./){1,5}evil", 1..4)) {
        let siblings: Vec<_> = names.iter().map(|name| json!({ "rfilename": name })).collect();
        // There are no such files; that only such as can be are asked for is what matters.
        let body = json!({ "id": "org/name", "sha": COMMIT, "siblings": siblings }).to_string();
        prop_assert!(fetch(listing(body)).is_err());
    }

    #[test]
    fn any_headers_are_survived(
        which in prop::sample::select(vec!["etag", "x-linked-etag", "x-linked-size", "content-range", "retry-after",
            "location", "content-length", "x-repo-commit", "x-error-code", "x-error-message", "transfer-encoding"]),
        value in prop::collection::vec(any::<u8>(), 1..20),
        status in prop::sample::select(vec![200_u16, 206, 302, 304, 401, 404, 416]),
        cut in 0_usize..100,
    ) {
        let mut calls = 0;
        let _ = fetch(move |request, answer| {
            calls += 1;
            let is_content = request.is_transfer();
            let status = if is_content && calls > 5 { status } else { answer.status };
            let cut = (is_content && calls < 8).then_some(cut);
            if request.is_listing() { answer } else { Answer { status, cut, ..answer.with(which, value.clone()) } }
        });
    }

    #[test]
    fn any_bytes_instead_of_an_answer_are_survived(status: u16, headers in "[\\PC\n:]{0,40}", body: Vec<u8>) {
        prop_assert!(fetch(move |_, _| Answer::new(status, body.clone()).with("x", headers.clone())).is_err());
    }
}
