//! `adamole generate` and `adamole export`.

use crate::{fails, shipped, shown, succeeds};
use adamole_tests::{Case, golden};
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

#[test]
fn text_is_continued_the_same_way_each_time() {
    let model = shipped();
    let prompt = "To drive a nail, take the";
    let run = |more: &[&str]| {
        succeeds(&[&["generate", "--model", &model, "--prompt", prompt, "--max-new-tokens", "8"], more].concat())
    };
    let greedy = run(&[]);
    assert!(greedy.starts_with(prompt) && greedy.contains("hammer"), "{greedy}");
    assert_eq!(run(&[]), greedy);
    let drawn = |seed| run(&["--temperature", "2", "--seed", seed]);
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    assert_eq!(run(&["--temperature", "2", "--top-p", "0.0001"]), greedy, "one token is left to draw from");
    let report: Value = serde_json::from_str(&run(&["--format", "json"])).unwrap();
    assert!(report["tokens"].as_u64().unwrap() > 0 && report["tokens_per_second"].is_number());
    fails(&["generate", "--model", &model, "--prompt", prompt, "--temperature", "0"], 2, &["--temperature is 0"]);
}

#[test]
fn a_mixture_is_not_merged_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    let output = shown(&folder.path().join("merged"));
    let case = Case::open("llama_gqa__ada_1");
    let (model, adapter) = (shown(&golden("bases/llama_gqa_s11")), shown(&case.folder));
    let arguments = ["export", "--model", &model, "--adapter", &adapter, "--merge", "--output", &output];
    fails(&arguments, 1, &["model.layers.0.self_attn.q_proj", "has a mixture of experts", "depends on the token"]);
    assert!(!Path::new(&output).exists());
}
