//! What a server refuses, and how it ends.

use super::{
    client::open,
    scene::{MODELS, Server},
};
use serde_json::{Value, json};
use std::{
    io::Read,
    net::TcpStream,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

/// Waits until something holds.
#[track_caller]
fn wait(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited for: {what}");
        sleep(Duration::from_millis(20));
    }
}

/// A text that takes long.
fn long(stream: bool) -> Value {
    json!({"model": "mixture", "prompt": "The", "max_tokens": 4000, "ignore_eos": true, "stream": stream})
}

#[test]
fn wrong_requests_are_refused_with_their_cause() {
    let server = Server::start(&["--max-body", "5000", "--max-tokens", "64"]);
    let refused = |path: &str, body: Value, status: u16, kind: &str, parts: &[&str]| {
        let answer = server.post(path, &body);
        assert_eq!(answer.status, status, "{}", answer.body);
        let error = answer.json()["error"].clone();
        assert_eq!(error["type"], kind, "{error}");
        let message = error["message"].as_str().unwrap();
        parts.iter().for_each(|part| assert!(message.contains(part), "`{part}` is not in: {message}"));
    };
    let (completions, chat, invalid) = ("/v1/completions", "/v1/chat/completions", "invalid_request_error");
    let names = MODELS.join(", ");
    refused(completions, json!({"model": "gpt", "prompt": "a"}), 404, "not_found_error", &["\"gpt\"", &names]);
    refused(completions, json!({"prompt": "a"}), 400, invalid, &["model is missing"]);
    refused(completions, json!({"model": "base"}), 400, invalid, &["prompt is missing"]);
    refused(completions, json!({"model": "base", "prompt": []}), 400, invalid, &["prompt has 0 prompts"]);
    refused(completions, json!({"model": "base", "prompt": [99_999]}), 400, invalid, &["99999"]);
    refused(completions, json!({"model": "base", "prompt": "a", "n": 2}), 400, invalid, &["n is 2"]);
    refused(completions, json!({"model": "base", "prompt": "a", "max_tokens": 64}), 400, invalid, &["64 together"]);
    refused(completions, json!({"model": "base", "prompt": "a", "stop": ""}), 400, invalid, &["stop"]);
    refused(
        chat,
        json!({"model": "base", "messages": [{"role": "user", "content": "a"}]}),
        400,
        invalid,
        &["chat template"],
    );
    refused(completions, json!({"model": "base", "prompt": "a".repeat(6000)}), 413, invalid, &["5000 bytes"]);
    refused("/v1/nothing", json!({}), 404, "not_found_error", &["/v1/nothing"]);
    let json = [("Content-Type", "application/json")];
    let bad = open(&server.address, "POST", completions, &json, b"{\"model\": ").rest();
    assert_eq!((bad.status, bad.json()["error"]["message"].as_str().unwrap().contains("not JSON")), (400, true));
    assert_eq!(open(&server.address, "POST", completions, &[], b"{}").rest().status, 415);
    assert_eq!(open(&server.address, "GET", completions, &[], b"").rest().status, 405);
    let foreign = [("Host", "example.org")];
    assert_eq!(open(&server.address, "GET", "/v1/models", &foreign, b"").rest().status, 403);
    assert!(server.get("/").body.contains("<html"));
    assert_eq!(server.get("/").header("access-control-allow-origin"), None);
    assert_eq!(server.get("/health").json(), json!({"status": "ok"}));
    let models = server.get("/v1/models").json();
    let ids: Vec<&str> = models["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, MODELS);
    // It still answers.
    assert_eq!(server.post(completions, &json!({"model": "base", "prompt": "a", "max_tokens": 2})).status, 200);
}

#[test]
fn a_key_and_an_origin_are_asked_for() {
    let server = Server::start(&["--api-key", "secret", "--allow-origin", "https://example.org"]);
    let with = |key: &str| {
        open(&server.address, "GET", "/v1/models", &[("Authorization", key), ("Origin", "https://example.org")], b"")
            .rest()
    };
    let refused = with("Bearer other");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    let taken = with("Bearer secret");
    assert_eq!((taken.status, taken.header("access-control-allow-origin")), (200, Some("https://example.org")));
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn a_full_server_says_when_to_try_again() {
    let server = Server::start(&["--max-active", "1", "--max-waiting", "1", "--max-tokens", "8000"]);
    let mut first = server.open("/v1/completions", &long(true));
    first.event();
    let second = server.open("/v1/completions", &long(true));
    wait("two texts", || server.metric("adamole_waiting_texts") == 1.0);
    let third = server.post("/v1/completions", &long(false));
    assert_eq!(third.status, 503, "{}", third.body);
    assert_eq!(third.header("retry-after"), Some("2"));
    assert_eq!(third.json()["error"]["type"], "overloaded_error");
    drop((first, second));
    wait("no text", || server.metric("adamole_active_texts") == 0.0 && server.metric("adamole_waiting_texts") == 0.0);
    assert_eq!(server.metric("adamole_abandoned_total"), 2.0);
}

#[test]
fn a_request_that_takes_too_long_is_told_so() {
    let server = Server::start(&["--timeout", "1", "--max-tokens", "8000", "--max-active", "2"]);
    let body = json!({"model": "mixture", "prompt": vec!["The"; 20], "max_tokens": 7000, "ignore_eos": true});
    let answer = server.post("/v1/completions", &body);
    assert_eq!(answer.status, 504, "{}", answer.body);
    assert_eq!(answer.json()["error"]["type"], "timeout_error");
    wait("no text", || server.metric("adamole_active_texts") == 0.0);
}

#[test]
fn sigterm_lets_answers_end() {
    let mut server = Server::start(&["--max-tokens", "8000", "--grace", "600"]);
    let mut stream = server.open("/v1/completions", &long(true));
    stream.event();
    let kill = Command::new("kill").arg(server.child.id().to_string()).status().unwrap();
    assert!(kill.success());
    wait("the port is closed", || TcpStream::connect(&server.address).is_err());
    let events = stream.rest().events();
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    assert!(server.child.wait().unwrap().success());
    let mut told = String::new();
    server.stderr.read_to_string(&mut told).unwrap();
    assert!(told.contains("stopping"), "{told}");
}
