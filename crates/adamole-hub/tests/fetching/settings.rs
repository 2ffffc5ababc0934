//! Addresses, and the variables of a process.

use std::process::{Command, Output};

use crate::*;

/// Starts a process with these variables, which prints the hub that they describe.
fn of(variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "settings::child", "--ignored", "--nocapture"]).env_clear().env("ADAMOLE_HUB_TEST", "1");
    command.envs(variables.iter().copied()).output().unwrap()
}

#[test]
#[ignore = "run by the other tests, in processes of their own"]
fn child() {
    use std::io::Write;
    if std::env::var_os("ADAMOLE_HUB_TEST").is_some() {
        writeln!(std::io::stdout(), "{:?}", Hub::from_env()).unwrap();
    }
}

fn describes(variables: &[(&str, &str)], part: &str) {
    let output = String::from_utf8(of(variables).stdout).unwrap();
    assert!(output.contains(part) && !output.contains("secret"), "{variables:?}: {part} is not in {output}");
}

#[test]
fn an_address_is_checked_and_not_shown_with_its_password() {
    for endpoint in ["", "huggingface.co", "ftp://hub", "http://me:secret@hub", "https://hub?token=secret", "http://"] {
        let error = Hub::new(endpoint, Cache::new("cache")).unwrap_err();
        assert!(matches!(error, HubError::InvalidEndpoint(_)), "{endpoint}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert!(Hub::new("http://hub:80/mirror/", Cache::new("cache")).is_ok());
}

#[test]
fn variables_decide_where_the_cache_is() {
    let all = [("HF_HUB_CACHE", "/c"), ("HF_HOME", "/h"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/me")];
    describes(&all, "folder: \"/c\"");
    describes(&all[1..], "folder: \"/h/hub\"");
    describes(&all[2..], "folder: \"/x/huggingface/hub\"");
    describes(&[("HF_HOME", ""), ("HOME", "/me")], "folder: \"/me/.cache/huggingface/hub\"");
}

#[test]
fn the_token_is_in_a_variable_or_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (name, text) in [("token", "secret\n"), ("empty", "\n"), ("broken", "a\nb")] {
        std::fs::write(path(name), text).unwrap();
    }
    let (home, none) = (path(""), path("none"));
    for variables in [
        [("HF_TOKEN", " secret "), ("HF_TOKEN_PATH", &none)],
        [("HF_TOKEN", " "), ("HF_TOKEN_PATH", &path("token"))],
        [("HF_TOKEN", ""), ("HF_HOME", &home)],
    ] {
        describes(&variables, "token: Some(Token)");
    }
    for file in [&path("empty"), &none] {
        describes(&[("HF_TOKEN_PATH", file)], "token: None");
    }
    describes(&[("HF_TOKEN", "a\nsecret")], "Err(InvalidToken)");
    describes(&[("HF_TOKEN_PATH", &path("broken"))], "Err(InvalidToken)");
    describes(&[("HF_TOKEN_PATH", &home)], "Err(Io");
    for text in ["", " \n", "hf_a\nb", "hf_a\r\nHost: evil", "hf a", "hf_\u{e9}", "hf_\0"] {
        let hub = Hub::new("http://hub", Cache::new("cache")).unwrap().with_token(text);
        assert!(matches!(hub, Err(HubError::InvalidToken)), "{text:?}");
    }
}

#[test]
fn offline_is_a_yes() {
    for (value, expected) in [("1", true), ("True", true), ("yes", true), ("0", false), ("", false), ("no", false)] {
        describes(&[("HF_HUB_OFFLINE", value)], &format!("is_offline: {expected}"));
    }
}

#[test]
fn what_is_no_address_is_no_proxy() {
    for proxy in ["http://proxy:3128", "http://me:secret@proxy:3128/", "proxy:3128", "socks5h://proxy", ""] {
        describes(&[("HTTPS_PROXY", proxy)], "Ok(Hub");
    }
    for proxy in ["socks9://x", "http://", "http://me:secret@", "://", "http://a b"] {
        describes(&[("all_proxy", proxy)], "Err(InvalidProxy { variable: \"all_proxy\" })");
        describes(&[("all_proxy", proxy), ("HF_HUB_OFFLINE", "1")], "Ok(Hub");
    }
}
