//! A program with a method of another crate, `examples/own_method.rs`, from outside.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::Value;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The program of the example; `None` where it is not built, as where cargo was asked for this test alone.
fn example() -> Option<PathBuf> {
    let tests = env::current_exe().unwrap();
    let program = tests.parent()?.parent()?.join("examples").join(format!("own_method{}", env::consts::EXE_SUFFIX));
    if !program.is_file() {
        eprintln!("skipped: {} is not built; `cargo test` without a name of a test builds it", program.display());
    }
    program.is_file().then_some(program)
}

#[track_caller]
fn runs(program: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let mut program = Command::new(program);
    let output = program.env("HF_HUB_OFFLINE", "1").env("HF_HOME", "/nonexistent").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    (stdout, stderr)
}

#[test]
fn a_registered_method_trains_and_loads_and_elsewhere_is_refused_by_name() {
    let Some(own) = example() else { return };
    let adamole = Path::new(env!("CARGO_BIN_EXE_adamole"));
    let scratch = tempfile::tempdir().unwrap();
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    let shown = |path: &Path| path.display().to_string();
    let (model, data, output) = (shown(&datasets.join("base")), shown(&datasets), shown(&scratch.path().join("run")));
    let on = ["--model", &model, "--benchmark", "cb", "--data", &data, "--token-cache", "off"];
    let limits = ["--limit-train", "32", "--limit-validation", "8", "--epochs", "1", "--format", "json"];
    let given = ["--method", "sharpened", "--power", "3", "--num-experts", "4", "--rank", "2", "--output", &output];
    let train = [&["train"][..], &on, &limits, &given].concat();
    let (report, _) = runs(&own, &train, 0);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["method"], "sharpened");

    let config = std::fs::read_to_string(scratch.path().join("run/adapter/adapter_config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let fields = ["peft_type", "power", "num_experts"].map(|field| config[field].to_string());
    assert_eq!(fields, ["\"SHARPENED\"", "3.0", "4"]);

    let evaluate = [&["evaluate", "--adapter", &output, "--format", "json"][..], &on].concat();
    let (evaluation, _) = runs(&own, &evaluate, 0);
    let evaluation: Value = serde_json::from_str(&evaluation).unwrap();
    assert_eq!(evaluation["mean_active_experts"], 4.0, "all experts act");

    let (_, refusal) = runs(adamole, &evaluate, 1);
    assert!(refusal.contains("peft_type") && refusal.contains("SHARPENED"), "{refusal}");
    assert!(refusal.contains("a method of another crate that the program has registered"), "{refusal}");
    let (_, refusal) = runs(adamole, &["train", "--model", &model, "--benchmark", "cb", "--method", "sharpened"], 2);
    assert!(refusal.contains("'sharpened'") && refusal.contains("adamole, "), "{refusal}");
}

#[test]
fn settings_of_a_registered_method_are_flags_and_keys_like_all_others() {
    let Some(own) = example() else { return };
    let (table, _) = runs(&own, &["config", "list", "--format", "json"], 0);
    let rows: Vec<Value> = serde_json::from_str(&table).unwrap();
    let power = rows.iter().find(|row| row["name"] == "power").unwrap();
    assert_eq!((&power["methods"][0], &power["default"]), (&"sharpened".into(), &"2".into()));
    let (_, refusal) =
        runs(&own, &["train", "--model", "x", "--benchmark", "cb", "--method", "lora", "--power", "3"], 2);
    assert!(refusal.contains("`power` is not valid with the method `lora`"), "{refusal}");
    let (_, refusal) =
        runs(&own, &["train", "--model", "x", "--benchmark", "cb", "--method", "sharpened", "--power", "0"], 2);
    assert!(refusal.contains("power is 0, expected a number above 0"), "{refusal}");
}
