//! What the program says of a run before it starts.

use crate::{shipped, shown, succeeds};
use adamole::core::MethodKind;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

/// Of a step whose activations are most of the memory: what the program takes without them is not the same on all machines,
/// and neither is whether two workers have their peaks at once.
#[test]
#[cfg(target_os = "linux")]
fn memory_is_foretold() {
    let folder = TempDir::new().unwrap();
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/copa"));
    let output = shown(&folder.path().join("run"));
    let run = ["train", "--benchmark", "copa", "--data", &data, "--model", &shipped(), "--output", &output];
    let batches = ["--limit-train", "100", "--batch-size", "100", "--micro-batch-size", "50", "--workers", "2"];
    let settings = ["--epochs", "1", "--format", "json"];
    let report: Value = serde_json::from_str(&succeeds(&[&run[..], &batches, &settings].concat())).unwrap();
    let estimate = report["memory_estimate"].as_object().unwrap();
    let foretold: f64 = estimate.values().map(|bytes| bytes.as_f64().unwrap()).sum();
    let ratio = foretold / report["peak_memory_bytes"].as_f64().unwrap();
    assert!(estimate["activations"].as_f64().unwrap() > 0.5 * foretold, "{estimate:?}");
    assert!((0.75..1.3).contains(&ratio), "{ratio} of the peak: {estimate:?}");
    assert!(report["share_of_matmul_peak"].as_f64().unwrap() > 0.0);
}

/// The CPU's product with quantised weights keeps the integers alone, whatever the other weights are in.
#[test]
fn quantised_weights_in_half_precision_are_not_counted_as_floats_on_the_cpu() {
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/copa"));
    let activations = |device: &str, more: &[&str]| {
        let run = ["estimate", "--model", &shipped(), "--benchmark", "copa", "--data", &data, "--device", device];
        let report = succeeds(&[&run[..], &["--dtype", "bfloat16", "--format", "json"], more].concat());
        serde_json::from_str::<Value>(&report).unwrap()["memory_estimate"]["activations"].as_u64().unwrap()
    };
    for quantization in ["int8", "int4"] {
        let quantized = ["--quantize", quantization];
        assert_eq!(activations("cpu", &quantized), activations("cpu", &[]));
        // Micro-batches come one at a time there.
        assert!(activations("cuda", &quantized) > activations("cuda", &[]));
    }
}

#[test]
fn an_estimate_tells_what_the_run_is_going_to_be() {
    let folder = TempDir::new().unwrap();
    let data = shown(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/copa"));
    let model = shipped();
    // Each with the linears that it adapts by default.
    for method in MethodKind::all().map(|kind| kind.name) {
        let settings = [
            &["--benchmark", "copa", "--data", &data, "--model", &model, "--method", method, "--epochs", "2"][..],
            &["--train-split", "train[:40]", "--validation-split", "train[40:50]", "--report-split", "test[:20]"],
            &["--format", "json"],
        ]
        .concat();
        let json = |text: String| serde_json::from_str::<Value>(&text).unwrap();
        let estimate = json(succeeds(&[&["estimate"][..], &settings].concat()));
        let output = shown(&folder.path().join(method));
        let report = json(succeeds(&[&["train", "--output", &output][..], &settings].concat()));
        for key in ["trainable_parameters", "steps", "train_items", "train_tokens"] {
            assert_eq!(estimate[key], report[key], "{method} {key}");
        }
        assert_eq!((&report["items"], &report["reported"]["items"]), (&10.into(), &20.into()));
        assert_eq!((&estimate["validation_items"], &estimate["report_items"]), (&10.into(), &20.into()));
        assert_eq!(report["selected_on"], "train[40:50]");
        let record = json(std::fs::read_to_string(folder.path().join(method).join("config.json")).unwrap());
        let mut config = estimate["config"].as_object().unwrap().clone();
        config.remove("output");
        for (key, value) in &config {
            assert_eq!(record.get(key), Some(value), "{key}");
        }
        assert_eq!(estimate["fingerprint"]["base"], record["fingerprint"]["base"]);
        let operations = estimate["train_operations"].as_f64().unwrap();
        let done = report["gigaflop_per_second"].as_f64().unwrap() * 1e9 * report["train_tokens"].as_f64().unwrap()
            / report["tokens_per_second"].as_f64().unwrap();
        // The run also computes padding.
        assert!((0.8..=1.0).contains(&(operations / done)), "{method}: {operations} foretold, {done} done");
    }
}

#[test]
fn the_papers_models_fit_a_gpu_of_80_gb() {
    // The parameters that are published for each.
    for (shape, parameters) in [
        ("llama-2-7b", 6_738_415_616_u64),
        ("llama-2-13b", 13_015_864_320),
        ("gemma-7b", 8_537_680_896),
        ("smollm2-135m", 134_515_008),
    ] {
        let assumed = ["--shape", shape, "--items", "5000,1000,1000", "--tokens", "100"];
        let run = ["estimate", "--model", "not/here", "--benchmark", "cosmos_qa", "--dtype", "bfloat16"];
        let options = ["--device", "cuda", "--labels", "text", "--format", "json"];
        let report: Value = serde_json::from_str(&succeeds(&[&run[..], &assumed, &options].concat())).unwrap();
        assert_eq!(report["parameters"].as_u64(), Some(parameters), "{shape}");
        let bytes = report["memory_bytes"].as_u64().unwrap();
        assert!(bytes > 2 * parameters && bytes < 80_000_000_000, "{shape} takes {bytes} bytes");
        assert_eq!(report["fingerprint"], Value::Null);
    }
}
