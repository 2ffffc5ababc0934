//! Benchmarks from outside: one's own, mixtures, bad rows, the published choices, and what is fetched from a hub.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../adamole-hub/tests/fetching/server.rs"]
#[allow(dead_code, reason = "the hub's own tests use the rest")]
mod server;

use serde_json::Value;
use server::{Server, Site};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

const COPA: &str = r#"{"premise": "The rope was cut.", "choice1": "The boat drifted.", "choice2": "The boat sang.", "question": "effect", "label": 0}"#;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets").canonicalize().unwrap()
}

fn run(folder: &TempDir, endpoint: Option<&str>, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
    program.current_dir(folder.path()).args(arguments);
    program.env("HF_HOME", folder.path().join("hub")).env("XDG_CACHE_HOME", folder.path().join("cache"));
    program.env_remove("HF_HUB_CACHE").env_remove("HF_TOKEN").env_remove("HF_TOKEN_PATH");
    match endpoint {
        Some(endpoint) => program.env("HF_ENDPOINT", endpoint).env_remove("HF_HUB_OFFLINE"),
        None => program.env("HF_HUB_OFFLINE", "1"),
    };
    program.output().unwrap()
}

#[track_caller]
fn json(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn fails(output: &Output, code: i32, parts: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(code) && output.stdout.is_empty(), "{error}");
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

#[test]
fn a_benchmark_of_ones_own_is_read_trained_on_and_evaluated() {
    let folder = TempDir::new().unwrap();
    let definition = "name = 'colours'\nprompt = \"Colour of {thing}?\\nChoices:\\n{choices}\\nAnswer:\"\n\
                      choices = ['{a}', '{b}']\nanswer = { text = 'right' }\n";
    fs::write(folder.path().join("colours.toml"), definition).unwrap();
    let rows = "thing,a,b,right\ngrass,red,green,green\nblood,red,blue,red\nsnow,white,black,grey\n";
    for split in ["train", "validation"] {
        fs::write(folder.path().join(format!("{split}.csv")), rows).unwrap();
    }
    let base = shipped().join("base").display().to_string();
    let common = ["--benchmark", "colours.toml", "--data", "."];
    let with = |command: &str, more: &[&str]| run(&folder, None, &[&[command][..], &common, more].concat());

    let error =
        "validation.csv:4: field `right`: expected a label among [\"white\", \"black\"], found the string \"grey\"";
    let failed = with("items", &[]);
    // The items before it are there.
    assert_eq!(String::from_utf8_lossy(&failed.stdout).matches("Answer:").count(), 2);
    fails(
        &Output { stdout: Vec::new(), ..failed },
        1,
        &[error, "hint: correct the row, or leave such rows out with --on-bad-row skip"],
    );
    let items = with("items", &["--on-bad-row", "skip", "--format", "json", "--tokens", "--model", &base]);
    assert!(String::from_utf8_lossy(&items.stderr).contains("warning: 1 of 3 rows were skipped, first"));
    let items = json(&items);
    assert_eq!((items.len(), &items[0]["row"], &items[0]["answer"]), (2, &Value::from(2), &Value::from("B")));
    assert_eq!(items[0]["text"], "Colour of grass?\nChoices:\nA. red\nB. green\nAnswer: B");
    let train = with(
        "train",
        &["--on-bad-row", "skip", "--model", &base, "--epochs", "1", "--output", "run", "--format", "json"],
    );
    let report = &json(&train)[0];
    assert_eq!((&report["benchmark"], &report["train_items"]), (&Value::from("colours"), &Value::from(2)));
    assert_eq!(report["validation_rows"]["bad_rows"], 1);
    let evaluate =
        with("evaluate", &["--on-bad-row", "skip", "--model", &base, "--adapter", "run", "--format", "json"]);
    let report = &json(&evaluate)[0];
    assert_eq!(report["rows"]["bad_rows"], 1);
    assert_eq!(report["accuracy"].as_f64().map(|accuracy| accuracy * 2.0 % 1.0), Some(0.0));
}

#[test]
fn the_published_choices_are_options() {
    let folder = TempDir::new().unwrap();
    let (base, data) = (shipped().join("base").display().to_string(), shipped().display().to_string());
    let items = |more: &[&str]| {
        let common = ["items", "--benchmark", "scienceqa", "--data", &data, "--limit", "1", "--format", "json"];
        let tokens = ["--tokens", "--model", &base];
        json(&run(&folder, None, &[&common[..], &tokens, more].concat())).remove(0)
    };
    let list = |value: &Value| value.as_array().unwrap().clone();
    let (ours, theirs) = (items(&[]), items(&["--scoring", "reference"]));
    assert_eq!(list(&theirs["tokens"]["choices"]).len(), 5);
    assert_eq!(list(&ours["tokens"]["choices"]).len(), list(&ours["choices"]).len());
    assert!(list(&theirs["tokens"]["evaluate"]).len() > list(&ours["tokens"]["evaluate"]).len());
    assert_eq!(theirs["tokens"]["train"], ours["tokens"]["train"]);
    let cut = items(&["--max-tokens", "20", "--truncation", "right"]);
    assert_eq!((list(&cut["tokens"]["train"]).len(), &cut["tokens"]["truncated"]), (20, &Value::from(true)));
    assert_eq!(cut["tokens"]["evaluate"], ours["tokens"]["evaluate"]);

    let trained = [
        "train",
        "--benchmark",
        "copa",
        "--data",
        &data,
        "--model",
        &base,
        "--epochs",
        "1",
        "--limit-train",
        "16",
        "--limit-validation",
        "8",
        "--order",
        "length-grouped",
        "--labels",
        "text",
        "--scoring",
        "reference",
        "--truncation",
        "right",
        "--output",
        "run",
        "--format",
        "json",
    ];
    assert_eq!(json(&run(&folder, None, &trained))[0]["answers_lost"], 0);
    let config: Value = serde_json::from_slice(&fs::read(folder.path().join("run/config.json")).unwrap()).unwrap();
    assert_eq!((&config["scoring"], &config["truncation"]), (&Value::from("reference"), &Value::from("right")));
    assert_eq!(
        (&config["recipe"]["order"], &config["recipe"]["labels"]),
        (&Value::from("length-grouped"), &Value::from("text"))
    );
    // The token ids were kept.
    assert_eq!(fs::read_dir(folder.path().join("cache/adamole/tokens")).unwrap().count(), 2);
}

#[test]
fn a_mixture_is_reported_by_its_parts() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("two.toml"), "name = 'two'\nmixture = ['copa', 'cb']").unwrap();
    let (base, data) = (shipped().join("base").display().to_string(), shipped().display().to_string());
    let common = ["evaluate", "--benchmark", "two.toml", "--model", &base, "--data", &data, "--format", "json"];
    let report = json(&run(&folder, None, &common)).remove(0);
    let parts = report["parts"].as_object().unwrap();
    assert_eq!(parts.keys().collect::<Vec<_>>(), ["cb", "copa"]);
    let alone = |name: &str| {
        let arguments = ["evaluate", "--benchmark", name, "--model", &base, "--data", &data, "--format", "json"];
        json(&run(&folder, None, &arguments)).remove(0)["accuracy"].clone()
    };
    assert_eq!((&parts["cb"], &parts["copa"]), (&alone("cb"), &alone("copa")));
}

/// The shipped base, and COPA in the layout of the hub's converted data sets.
fn site() -> Site {
    let file = |name: &str| (name.to_owned(), fs::read(shipped().join("base").join(name)).unwrap());
    let mut site = Site::default();
    site.files.extend(["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"].map(file));
    site.files.insert("consolidated.safetensors".into(), b"not wanted".into());
    site.files.insert("copa/validation.jsonl".into(), COPA.into());
    site.files.insert("data/train.jsonl".into(), b"not of copa".into());
    site
}

#[test]
fn models_and_data_come_from_the_hub_and_are_kept() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(site(), |_, answer| answer);
    let endpoint = server.endpoint();
    let fetch = ["fetch", "--model", "org/name", "--format", "json"];
    let output = run(&folder, Some(&endpoint), &fetch);
    let model = PathBuf::from(json(&output)[0]["model"].as_str().unwrap());
    assert!(model.starts_with(folder.path().join("hub/hub/models--org--name/snapshots")), "{}", model.display());
    let mut files: Vec<String> =
        fs::read_dir(&model).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("fetching 4 files"));

    let evaluate = |endpoint| {
        let arguments =
            ["evaluate", "--model", "org/name", "--benchmark", "copa", "--data", "org/name@main", "--format", "json"];
        run(&folder, endpoint, &arguments)
    };
    assert_eq!(json(&evaluate(Some(&endpoint)))[0]["items"], 1);
    let transfers = server.log().iter().filter(|request| request.is_transfer()).count();
    assert_eq!(transfers, 5, "four files of the model, one of the data");
    drop(server);
    // From now on the cache has it all.
    assert_eq!(json(&evaluate(None))[0]["items"], 1);
    let output = evaluate(Some(&endpoint));
    assert_eq!(json(&output)[0]["items"], 1);
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning: the connection to 127.0.0.1"));
}

#[test]
fn what_is_read_from_a_folder_is_read_by_name() {
    let rows = || COPA.as_bytes().to_vec();
    for (file, beside) in [
        ("train.jsonl", "validation.jsonl"),
        ("data/train-00000-of-00001-9f3a.jsonl", "README.md"),
        ("default/train/0000.jsonl", "other/train/0000.jsonl"),
        ("copa/train-00000-of-00001.jsonl", "cb/train-00000-of-00001.jsonl"),
        ("COPA/train.jsonl", "data/train.zip"),
        ("train/part-0.jsonl", "validation/part-0.jsonl"),
        ("train.json", "train.arrow"),
    ] {
        let folder = TempDir::new().unwrap();
        let mut site = Site::default();
        site.files.extend([(file.to_owned(), rows()), (beside.to_owned(), rows())]);
        let server = Server::start(site, |_, answer| answer);
        let items = ["items", "--benchmark", "copa", "--split", "train", "--format", "json", "--data"];
        let by_name = json(&run(&folder, Some(&server.endpoint()), &[&items[..], &["org/name"]].concat()));
        let path = folder.path().join("local").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, COPA).unwrap();
        assert_eq!(by_name, json(&run(&folder, None, &[&items[..], &["local"]].concat())), "{file}");
    }
    let mut site = Site::default();
    site.files.insert("rows.zip".into(), rows());
    let server = Server::start(site, |_, answer| answer);
    let items = ["items", "--benchmark", "copa", "--data", "org/name"];
    let parts = ["rows of copa", "it has `rows.zip`"];
    fails(&run(&TempDir::new().unwrap(), Some(&server.endpoint()), &items), 1, &parts);
}

#[test]
fn what_the_hub_does_not_give_is_said_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let server = Server::start(Site { token: Some("secret"), ..site() }, |_, answer| answer);
    let gated = run(&folder, Some(&server.endpoint()), &["fetch", "--model", "org/name"]);
    fails(&gated, 1, &["`org/name` is gated", "hint: accept the terms", "HF_TOKEN"]);
    drop(server);
    let server = Server::start(site(), |_, answer| answer);
    let fetch = |arguments: &[&str]| run(&folder, Some(&server.endpoint()), &[&["fetch"], arguments].concat());
    let wrong = fetch(&["--model", "meta-lama/Llama-2-7b-hf"]);
    fails(&wrong, 1, &["no model `meta-lama/Llama-2-7b-hf`", "similar: `meta-llama/Llama-2-7b-hf`", "hint: "]);
    fails(&fetch(&["--model", "org/name@v2"]), 1, &["`org/name` has no revision `v2`"]);
    fails(&fetch(&["--benchmark", "bolq"]), 2, &["did you mean `boolq`?"]);
    fails(&fetch(&[]), 2, &["--model"]);
    let offline = run(&folder, None, &["fetch", "--benchmark", "piqa"]);
    fails(&offline, 1, &["`piqa` was not found", "hint: unset HF_HUB_OFFLINE"]);
}

/// Memory of a file's own size would be a third of a gigabyte here.
#[cfg(target_os = "linux")]
#[test]
fn a_file_of_any_size_takes_little_memory() {
    use std::io::{BufRead, BufReader, Write};
    const ROWS: usize = 2_000_000;
    let folder = TempDir::new().unwrap();
    let file = fs::File::create(folder.path().join("train.jsonl.gz")).unwrap();
    let mut writer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let block = format!("{COPA}\n").repeat(1000);
    (0..ROWS / 1000).for_each(|_| writer.write_all(block.as_bytes()).unwrap());
    writer.finish().unwrap();

    let mut child = Command::new(env!("CARGO_BIN_EXE_adamole"))
        .args(["items", "--benchmark", "copa", "--split", "train", "--format", "json", "--data"])
        .arg(folder.path())
        .env("HF_HUB_OFFLINE", "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let peak_kib = |id: u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.by_ref().take(ROWS / 10).count(), ROWS / 10);
    let early = peak_kib(child.id());
    assert_eq!(lines.by_ref().take(ROWS * 8 / 10).count(), ROWS * 8 / 10);
    let late = peak_kib(child.id());
    assert_eq!(lines.count(), ROWS / 10);
    assert!(child.wait().unwrap().success());
    assert!(late < early + 4096, "{early} KiB after a tenth of the rows, {late} KiB near their end");
}
