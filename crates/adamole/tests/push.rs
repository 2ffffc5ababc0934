//! Adapters go onto a stand-in for the hub, with their cards.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../adamole-hub/tests/fetching/server.rs"]
#[allow(dead_code, reason = "the hub's own tests use the rest")]
mod server;

use serde_json::Value;
use server::{Server, Site};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

/// A run of a plain LoRA, as short as it can be.
fn trained() -> TempDir {
    let folder = TempDir::new().unwrap();
    let [base, copa] = ["base", "copa"].map(shipped);
    let what =
        ["train", "--model", &base, "--benchmark", "copa", "--data", &copa, "--output", "run", "--method", "lora"];
    let how = ["--rank", "2", "--epochs", "1", "--limit-train", "8", "--limit-validation", "20", "--device", "cpu"];
    let output = program(&folder, "http://127.0.0.1:1", Some("hf_secret"), &[&what[..], &how].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// A folder of the repository's data sets and models.
fn shipped(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets").join(name).display().to_string()
}

fn program(folder: &TempDir, endpoint: &str, token: Option<&str>, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
    program.current_dir(folder.path()).args(arguments).env("HF_ENDPOINT", endpoint);
    program.env("HF_HOME", folder.path().join("hub")).env("XDG_CACHE_HOME", folder.path().join("cache"));
    for name in ["HF_HUB_CACHE", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"] {
        program.env_remove(name);
    }
    program.envs(token.map(|token| ("HF_TOKEN", token))).output().unwrap()
}

#[test]
fn a_run_is_pushed_with_the_card_of_its_adapter() {
    let folder = trained();
    let card = fs::read_to_string(folder.path().join("run/adapter/README.md")).unwrap();
    for part in ["library_name: \"peft\"", "| best epoch | validation[:20] |", "| rank | 2 |", "| dropout | 0.05 |"] {
        assert!(card.contains(part), "{part} is not in {card}");
    }
    assert!(!card.contains("datasets:"), "the data is a local folder: {card}");
    let server = Server::start(Site::default(), |_, answer| answer);
    let push = |arguments: &[&str]| program(&folder, &server.endpoint(), Some("hf_secret"), arguments);
    let pushed = push(&["push", "run", "org/new", "--private", "--format", "json"]);
    let error = String::from_utf8_lossy(&pushed.stderr).into_owned();
    assert!(pushed.status.success() && !error.contains("hf_secret"), "{error}");
    let report: Value = serde_json::from_slice(&pushed.stdout).unwrap();
    assert_eq!(report["url"], format!("{}/org/new", server.endpoint()));
    assert_eq!((&report["commit"], &report["created"]), (&server::COMMIT.into(), &true.into()));
    let uploaded = server.uploaded();
    let names: Vec<&String> = uploaded.keys().collect();
    assert_eq!(names, ["README.md", "adapter_config.json", "adapter_model.safetensors"], "and nothing else");
    assert_eq!(uploaded["README.md"], card);
}

#[test]
fn paths_of_this_machine_are_not_uploaded() {
    let folder = trained();
    let config = folder.path().join("run/adapter/adapter_config.json");
    let base = shipped("base");
    assert!(fs::read_to_string(&config).unwrap().contains(&base), "or this tests nothing");
    let server = Server::start(Site::default(), |_, answer| answer);
    let push = |run: &str| {
        let pushed = program(&folder, &server.endpoint(), Some("hf_secret"), &["push", run, "org/new"]);
        assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
        let uploaded = server.uploaded();
        assert!(uploaded.values().all(|text| !text.contains(&base)), "{uploaded:?}");
        let config: Value = serde_json::from_str(&uploaded["adapter_config.json"]).unwrap();
        (String::from_utf8_lossy(&pushed.stderr).into_owned(), config)
    };
    let (said, uploaded) = push("run");
    assert_eq!(uploaded["base_model_name_or_path"], Value::Null);
    assert!(said.contains("names no base model") && said.contains(&base), "{said}");
    // The folder of a cached snapshot tells the repository.
    for (name, revision, file) in [
        ("/home/me/.cache/hub/models--org--base/snapshots/0a0a", Value::Null, Value::Null),
        ("org/base@v2", "v2".into(), Value::Null),
    ] {
        let mut json: Value = serde_json::from_str(&fs::read_to_string(&config).unwrap()).unwrap();
        (json["base_model_name_or_path"], json["revision"]) = (name.into(), file);
        let own = folder.path().join("own");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("adapter_config.json"), json.to_string()).unwrap();
        fs::copy(config.with_file_name("adapter_model.safetensors"), own.join("adapter_model.safetensors")).unwrap();
        let (_, uploaded) = push("own");
        assert_eq!(uploaded["base_model_name_or_path"], "org/base", "{name}");
        assert_eq!(uploaded["revision"], revision, "{name}");
    }
}

#[test]
fn a_base_with_a_card_and_a_folder_is_merged_and_pushed_with_one_card() {
    let folder = trained();
    let base = folder.path().join("base");
    fs::create_dir_all(base.join("original")).unwrap();
    for entry in fs::read_dir(shipped("base")).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), base.join(entry.file_name())).unwrap();
    }
    fs::write(base.join("original/params.json"), "{}").unwrap();
    fs::write(base.join("README.md"), "written elsewhere").unwrap();
    let server = Server::start(Site::default(), |_, answer| answer);
    let arguments = ["push", "run", "org/new", "--merged", "--model", base.to_str().unwrap(), "--format", "json"];
    let pushed = program(&folder, &server.endpoint(), Some("hf_secret"), &arguments);
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    let report: Value = serde_json::from_slice(&pushed.stdout).unwrap();
    let files: Vec<&str> = report["files"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(files.iter().filter(|file| **file == "README.md").count(), 1, "{files:?}");
    let uploaded = server.uploaded();
    assert!(uploaded["README.md"].contains("merged") && !uploaded["README.md"].contains("written elsewhere"));
    assert_eq!(uploaded["original/params.json"], "{}");
}

#[test]
fn a_merged_model_is_pushed_whole_and_loads() {
    let folder = trained();
    let server = Server::start(Site::default(), |_, answer| answer);
    let pushed = program(&folder, &server.endpoint(), Some("hf_secret"), &["push", "run", "org/new", "--merged"]);
    assert!(pushed.status.success(), "{}", String::from_utf8_lossy(&pushed.stderr));
    let uploaded = server.uploaded();
    for name in ["README.md", "config.json", "model.safetensors", "tokenizer.json"] {
        assert!(uploaded.contains_key(name), "{name} is not in {:?}", uploaded.keys());
    }
    assert!(uploaded["README.md"].contains("library_name: \"transformers\""));
}

#[test]
fn what_cannot_be_pushed_is_said_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(Site { new: Some(false), ..Site::default() }, |_, answer| answer);
    fs::create_dir(folder.path().join("adapter")).unwrap();
    for (name, content) in [("adapter_config.json", "{}"), ("adapter_model.safetensors", "")] {
        fs::write(folder.path().join("adapter").join(name), content).unwrap();
    }
    let fails = |token, arguments: &[&str], code, parts: &[&str]| {
        let output = program(&folder, &server.endpoint(), token, &[&["push"], arguments].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(parts.iter().all(|part| error.contains(part)), "{parts:?} are not in {error}");
    };
    fails(None, &["adapter", "org/new"], 1, &["needs a token", "hint: put a token that may write into HF_TOKEN"]);
    fails(Some("x"), &["none", "org/new"], 2, &["neither a run directory with an adapter nor an adapter folder"]);
    fails(Some("x"), &["adapter", "./here"], 2, &["no repository of the hub"]);
    fails(Some("x"), &["adapter", "org/new@a", "--revision", "b"], 2, &["given twice"]);
    fails(Some("x"), &["adapter", "org/new", "--private"], 1, &["exists and is public", "hint: make it private"]);
    assert!(server.uploaded().is_empty());
}
