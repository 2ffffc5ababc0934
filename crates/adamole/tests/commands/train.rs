//! `adamole train`: what it refuses and what it says of its settings.

use crate::{adamole, fails, shipped, shown, succeeds};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

#[test]
fn settings_that_belong_to_another_method_are_refused() {
    let model = shipped();
    let train = |more: &[&str]| {
        let fixed = ["train", "--model", &model, "--data", "nowhere", "--benchmark", "copa"];
        let arguments = [&fixed[..], more].concat();
        adamole(&arguments)
    };
    for (flags, part) in [
        (&["--method", "lora", "--tau-max", "0.5"][..], "`tau_max` is not valid with the method `lora`"),
        (&["--method", "mole", "--top-k", "2", "--top-p", "0.5"], "only one"),
        (&["--method", "mole", "--top-p", "1.5"], "top_p is 1.5, expected a number in (0, 1]"),
        (&["--method", "sira", "--capacity-factor", "0"], "capacity_factor is 0"),
        (&["--num-experts", "8,0"], "num_experts is 0"),
        (&["--num-experts", "pyramid"], "triangle"),
        (&["--chain-links", "11", "--method", "lora"], "chain_links is 11"),
        (&["--dtype", "int4"], "bfloat16"),
    ] {
        let (code, _, stderr) = train(flags);
        assert_eq!(code, Some(2), "{flags:?}: {stderr}");
        assert!(stderr.contains(part), "{flags:?}: {stderr}");
    }
}

#[test]
fn a_run_says_where_it_departs_from_the_reference_implementation() {
    let folder = TempDir::new().unwrap();
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/copa"));
    let departures = |name: &str, more: &[&str]| {
        let output = shown(&folder.path().join(name));
        let (model, limits) = (shipped(), ["--limit-train", "20", "--limit-validation", "8", "--epochs", "1"]);
        let run = ["train", "--benchmark", "copa", "--data", &data, "--model", &model, "--output", &output];
        let stdout = succeeds(&[&run[..], &limits, &["--format", "json"], more].concat());
        let report: Value = serde_json::from_str(&stdout).unwrap();
        let departures = report["departures"].as_array().unwrap().iter();
        departures.map(|departure| departure["setting"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(departures("reference", &["--compat", "reference"]), Vec::<String>::new());
    assert_eq!(departures("but-one", &["--compat", "reference", "--labels", "answer"]), ["labels"]);
    let ours = ["accumulation", "dropout_scope", "labels", "order", "padding", "scoring", "truncation"];
    assert_eq!(departures("ours", &[]), ours);
}

#[test]
fn parts_of_a_split_stay_apart() {
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/copa"));
    let model = shipped();
    let rows = |part: &str| -> Vec<u64> {
        let printed = succeeds(&["items", "--benchmark", "copa", "--data", &data, "--split", part, "--format", "json"]);
        printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["row"].as_u64().unwrap()).collect()
    };
    assert_eq!(rows("validation[3:6]"), [4, 5, 6]);
    assert_eq!(rows("validation[98:]"), [99, 100]);
    let shuffled = |part: &str| {
        let printed = succeeds(&["items", "--benchmark", "copa", "--data", &data, "--split", part, "--shuffle-parts"]);
        printed.lines().filter(|line| line.starts_with("Premise: ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (one, other) = (shuffled("validation[:40]"), shuffled("validation[40:]"));
    assert!((one.len(), other.len()) == (40, 60) && one[..3] != shuffled("validation")[..3]);
    let run = ["estimate", "--benchmark", "copa", "--data", &data, "--model", &model];
    let overlap = ["--train-split", "train[:50]", "--report-split", "train[49:60]"];
    fails(&[&run[..], &overlap].concat(), 2, &["train[:50] is trained on", "train[49:60]"]);
    fails(&[&run[..], &["--train-split", "train[900:]"]].concat(), 2, &["train[900:] has no items", "800"]);
    fails(&[&run[..], &["--train-split", "train[:0]"]].concat(), 2, &["train[200:250]"]);
}
