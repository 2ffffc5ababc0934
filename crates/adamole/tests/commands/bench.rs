//! `adamole bench`.

use crate::{fails, shipped, succeeds};
use serde_json::Value;

#[test]
fn every_measurement_gives_finite_positive_numbers() {
    let model = shipped();
    let adapter = ["--method", "adamole", "--num-experts", "4", "--rank", "2"];
    let measure = |what: &str, flags: &[&str], expected: &[&str]| {
        let stdout = succeeds(&[&["bench", what, "--format", "json"], flags].concat());
        let report: Value = serde_json::from_str(&stdout).unwrap();
        for key in expected.iter().chain(&["threads", "peak_memory_bytes"]) {
            let number = report[key].as_f64().unwrap_or(f64::NAN);
            assert!(number.is_finite() && number > 0.0, "{what} {key}: {stdout}");
        }
        report
    };
    let of_model = |flags: &[&'static str]| [&["--model", &model], flags].concat();
    let eval = ["seconds", "items_per_second", "tokens_per_second"];
    let report = measure("eval", &[&of_model(&["--items", "10", "--runs", "2"])[..], &adapter].concat(), &eval);
    assert_eq!((&report["items"], report["method"].as_str()), (&10.into(), Some("adamole")));
    let report = measure("eval", &of_model(&["--base", "--items", "3", "--tokens", "1"]), &eval);
    assert_eq!((&report["tokens"], report["method"].as_str()), (&3.into(), None));

    let generate = ["seconds", "tokens_per_second"];
    let short = ["--prompt-tokens", "3", "--new-tokens", "4"];
    measure("generate", &[&of_model(&short)[..], &adapter].concat(), &generate);
    measure("generate", &of_model(&["--base", "--new-tokens", "4", "--batch", "2"]), &generate);
    let load = ["weights_bytes", "read_seconds", "load_seconds", "first_step_seconds", "beyond_reading_seconds"];
    measure("load", &of_model(&[]), &load);
    let step = ["seconds_per_step", "tokens_per_second", "gigaflop"];
    measure("step", &of_model(&["--steps", "1", "--batch", "2", "--tokens", "8"]), &step);
    let shape = ["--shape", &model, "--dtype", "bfloat16", "--steps", "1", "--batch", "2", "--tokens", "8"];
    measure("step", &shape, &["seconds_per_step", "memory_estimate_bytes"]);
    let layer = ["--d-in", "12", "--d-out", "10", "--rows", "7"];
    let report = measure("layer", &[&layer[..], &adapter].concat(), &["seconds", "rows_per_second"]);
    assert_eq!((&report["num_experts"], &report["rank"]), (&4.into(), &2.into()));

    fails(&["bench", "step", "--model", &model, "--profile", "--device", "cpu"], 2, &["the CPU backend has none"]);
    fails(&["bench", "step", "--shape", &model, "--roofline", "--device", "cpu"], 2, &["the CPU backend has none"]);
    fails(&["bench", "layer", "--rows", "0"], 2, &["--rows is 0"]);
    fails(&["bench", "load", "--shape", &model], 2, &["--shape has no files"]);
    fails(&["bench", "step", "--model", &model, "--shape", &model], 2, &["cannot be used with"]);
    fails(&["bench", "step"], 2, &["--model <MODEL>"]);
    fails(&["bench", "eval", "--model", &model, "--base", "--method", "lora"], 2, &["cannot be used with"]);
}
