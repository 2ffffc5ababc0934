//! What the program says of devices.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole_tests::device_name;
use serde_json::Value;
use std::process::{Command, Output};

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_adamole")).args(arguments).output().unwrap()
}

#[test]
fn the_device_of_the_tests_is_listed_and_the_rest_is_accounted_for() {
    let output = program(&["devices", "--format", "json"]);
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let devices = report["devices"].as_array().unwrap();
    let kinds: Vec<&str> =
        devices.iter().map(|info| info["name"].as_str().unwrap().split(':').next().unwrap()).collect();
    assert!(kinds.contains(&device_name().split(':').next().unwrap()), "{report}");
    for info in devices {
        assert!(info["dtypes"].as_array().unwrap().contains(&"float32".into()), "{info}");
    }
    for kind in ["cpu", "cuda", "vulkan", "wgpu"] {
        let among = |list: &str| report[list].as_array().unwrap().contains(&kind.into());
        let places = [kinds.contains(&kind), among("absent"), among("not_built_in")];
        assert_eq!(places.into_iter().filter(|found| *found).count(), 1, "{kind}: {report}");
    }
    let text = String::from_utf8(program(&["devices"]).stdout).unwrap();
    assert_eq!(text.lines().count(), devices.len() + 4 - kinds.iter().collect::<std::collections::BTreeSet<_>>().len());
}

#[test]
fn a_device_that_cannot_be_opened_is_refused_with_a_remedy() {
    for (feature, name) in [(cfg!(feature = "cuda"), "cuda:7"), (cfg!(feature = "wgpu"), "wgpu:99")] {
        let output = program(&["generate", "--model", "nowhere", "--prompt", "x", "--device", name]);
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        let expected = if feature { "is not present" } else { "is not built into this program" };
        assert!(output.status.code() == Some(2) && talk.contains(expected) && talk.contains("hint: "), "{talk}");
    }
}

/// A model of one layer more asks for the same again, and reads each of its weights at least forward and backward.
#[test]
fn what_a_step_asks_of_a_gpu_is_counted_by_the_layer() {
    if device_name() == "cpu" {
        return;
    }
    let shape = concat!(env!("CARGO_MANIFEST_DIR"), "/../../xtask/gpu/llama-narrow");
    let flags = ["--batch", "1", "--tokens", "16", "--warm-up", "2", "--method", "lora", "--dropout", "0"];
    let call = ["bench", "step", "--roofline", "--shape", shape, "--device", &device_name(), "--format", "json"];
    let output = program(&[&call[..], &flags].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
    for what in ["launches", "bytes"] {
        let [counted, expected] = ["/check/0/demand", "/check/1"].map(|place| number(&format!("{place}/{what}")));
        assert!((counted - expected).abs() <= 0.05 * counted, "{what}: {counted}, expected {expected}: {report}");
    }
    let weights_of_a_layer = (4 * 128 * 128 + 3 * 128 * 344) as f64 * 4.0;
    let of_a_layer = number("/counted/1/demand/bytes") - number("/counted/0/demand/bytes");
    assert!(of_a_layer > 2.0 * weights_of_a_layer, "{of_a_layer} bytes: {report}");
    assert!(of_a_layer < 12.0 * weights_of_a_layer, "{of_a_layer} bytes: {report}");
}
