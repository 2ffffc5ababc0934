//! `adamole trace`: what the model computes for a batch.

use crate::{fails, shown, succeeds};
use adamole::llama::{TensorFile, write_tensors};
use adamole_tests::{Case, assert_close, floats, golden, values};
use burn::tensor::TensorData;
use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;

/// A file with a case's batch.
fn batch(case: &Case, folder: &TempDir) -> String {
    let path = folder.path().join("batch.safetensors");
    let tensor = |name: &str| {
        let (values, shape) = case.tensors.integers(name).unwrap();
        (name.to_owned(), TensorData::new(values, shape))
    };
    write_tensors(&path, &["input_ids", "attention_mask", "labels"].map(tensor)).unwrap();
    shown(&path)
}

#[test]
fn a_trace_holds_what_the_published_implementation_computes() {
    let folder = TempDir::new().unwrap();
    for name in ["llama_gqa__ada_max1", "gemma__mole_top2", "llama_gqa__lora"] {
        let case = Case::open(name);
        let output = shown(&folder.path().join("trace.safetensors"));
        let (model, adapter) = (shown(&case.folder.join(case.json["base"].as_str().unwrap())), shown(&case.folder));
        let stdout = succeeds(&[
            "trace",
            "--model",
            &model,
            "--adapter",
            &adapter,
            "--input",
            &batch(&case, &folder),
            "--output",
            &output,
            "--gradients",
            "--compat",
            "reference",
        ]);
        let report: Value = serde_json::from_str(&stdout).unwrap();
        let close = |key: &str, expected: f64| {
            let found = report[key].as_f64().unwrap();
            assert!((found - expected).abs() < 2e-5, "{name} {key}: {found}, expected {expected}");
        };
        close("task_loss", case.number("/ce_loss"));
        close("total_loss", case.number("/total_loss"));
        close("auxiliary_loss", case.json["aux_loss_total"].as_f64().unwrap_or(0.0));
        for (module, loss) in case.json["aux_loss_per_module"].as_object().into_iter().flatten() {
            let found = report["auxiliary_loss_per_module"][module].as_f64().unwrap();
            assert!((found - loss.as_f64().unwrap()).abs() < 1e-5, "{name} {module}");
            let mean = case.json["activation"][module]["mean_active_all"].as_f64().unwrap();
            let found = report["mean_active_experts_per_module"][module].as_f64().unwrap();
            assert!((found - mean).abs() < 1e-6, "{name} {module}");
        }
        let trace = TensorFile::open(Path::new(&output)).unwrap();
        assert_close(name, &floats(&trace, "logits"), &case.floats("logits"), 1e-4, 0.0);
        for route in case.tensors.names().into_iter().filter(|key| key.starts_with("route.")) {
            assert_eq!(trace.shape(&route), case.tensors.shape(&route), "{name} {route}");
            match route.ends_with("selected") {
                true => assert_eq!(trace.integers(&route).unwrap().0, case.integers(&route), "{name} {route}"),
                false => assert_close(&route, &floats(&trace, &route), &case.floats(&route), 1e-5, 0.0),
            }
        }
        let gradients = TensorFile::open(&case.folder.join("grads.safetensors")).unwrap();
        let ours: Vec<String> =
            trace.names().iter().filter_map(|key| key.strip_prefix("grad.").map(str::to_owned)).collect();
        assert_eq!(ours, gradients.names(), "{name}");
        for key in ours {
            let actual = floats(&trace, &format!("grad.{key}"));
            assert_close(&key, &actual, &values(gradients.floats(&key).unwrap()), 1e-5, 1e-3);
        }
    }
}

#[test]
fn a_trace_without_labels_has_no_loss_and_counts_no_padding() {
    let folder = TempDir::new().unwrap();
    let case = Case::open("llama_gqa__ada_1");
    let input = shown(&folder.path().join("batch.safetensors"));
    let ids = TensorData::new(vec![5_i64, 6, 7, 8, 9, 10], [2, 3]);
    let mask = TensorData::new(vec![1_i64, 1, 1, 1, 0, 0], [2, 3]);
    write_tensors(Path::new(&input), &[("input_ids".into(), ids), ("attention_mask".into(), mask)]).unwrap();
    let output = shown(&folder.path().join("trace.safetensors"));
    let (model, adapter) = (shown(&golden("bases/llama_gqa_s11")), shown(&case.folder));
    let arguments =
        ["trace", "--model", &model, "--adapter", &adapter, "--input", &input, "--output", &output, "--gradients"];
    let report: Value = serde_json::from_str(&succeeds(&arguments)).unwrap();
    assert!(report["task_loss"].is_null() && report["total_loss"].is_null());
    let counting: Value =
        serde_json::from_str(&succeeds(&[&arguments[..], &["--compat", "reference"]].concat())).unwrap();
    assert_ne!(report["auxiliary_loss"], counting["auxiliary_loss"]);
    let names = TensorFile::open(Path::new(&output)).unwrap().names();
    assert!(!names.iter().any(|name| name.starts_with("grad.")), "{names:?}");

    write_tensors(Path::new(&input), &[("input_ids".into(), TensorData::new(vec![5_i64, 600], [1, 2]))]).unwrap();
    fails(&arguments, 1, &["input_ids", "600", "128"]);
}
