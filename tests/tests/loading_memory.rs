//! Peak memory of loading a base model, measured in a process of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::llama::{CausalLm, ModelConfig, Precision, load_base_as, save_base};
use adamole_tests::{device, golden, memory};
use serde_json::json;
use std::{fs, path::Path, process::Command};

const FOLDER: &str = "ADAMOLE_TEST_LOADED_FOLDER";
const DTYPE: &str = "ADAMOLE_TEST_LOADED_DTYPE";

/// The child process of the test below. On its own it does nothing.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let precision: Precision = serde_json::from_value(std::env::var(DTYPE).unwrap().into()).unwrap();
    let before = memory("VmRSS");
    let model = load_base_as(Path::new(&folder), precision, &device()).unwrap();
    let peak = memory("VmHWM") - before;
    assert_eq!(model.dtype(), precision.dtype());
    eprintln!("peak {peak}");
}

#[test]
fn loading_takes_less_than_1_2_times_the_model() {
    let shape = ModelConfig::from_folder(&golden("bases/llama_gqa_s11")).unwrap();
    let larger = json!({
        "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 12, "num_attention_heads": 8,
        "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 4096,
    });
    let config = shape.with(larger.as_object().unwrap().clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    save_base(&CausalLm::random(config, 1, &device()), folder.path()).unwrap();
    let file = fs::metadata(folder.path().join("model.safetensors")).unwrap().len();
    for (dtype, size) in [("float32", file), ("bfloat16", file / 2)] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(DTYPE, dtype)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let peak = text.lines().find_map(|line| line.split("peak ").nth(1)).unwrap_or_else(|| panic!("{text}"));
        let ratio = peak.trim().parse::<f64>().unwrap() / size as f64;
        eprintln!("{dtype}: {ratio:.3} times the model's {} MiB", size >> 20);
        assert!((0.9..1.2).contains(&ratio), "{dtype}: {ratio}");
    }
}
