//! The course of runs on text of one's own.

use crate::scene::{Scene, requests};
use serde_json::Value;
use std::fs;

/// Requests in a folder with two splits, as prompts and completions.
fn scene() -> Scene {
    let rows = |split: &str, rows: usize| -> String {
        let lines = requests(split, rows);
        let row = |line: &str| {
            let row: Value = serde_json::from_str(line).unwrap();
            let [prompt, completion] = [0, 1].map(|at| row["messages"][at]["content"].as_str().unwrap().to_owned());
            serde_json::json!({"prompt": prompt, "completion": format!(" {completion}")}).to_string() + "\n"
        };
        lines.lines().map(row).collect()
    };
    Scene::new(&[("rows/train.jsonl", &rows("train", 48)), ("rows/validation.jsonl", &rows("validation", 12))])
}

fn config(scene: &Scene, run: &str) -> Value {
    serde_json::from_slice(&fs::read(scene.path(run).join("config.json")).unwrap()).unwrap()
}

#[test]
fn a_folder_has_its_splits_and_evaluate_measures_what_train_reports() {
    let scene = scene();
    let (report, talk) = scene.train("run", &["--data", "rows", "--method", "adamole"]);
    assert!(talk.contains("validation: 12 rows of "), "{talk}");
    assert!(report["mean_active_experts"].is_number() && scene.path("run/routing.html").exists());
    let arguments = ["--data", "rows", "--format", "json"];
    for (more, key) in [(&["--adapter", "run"][..], "validation_loss"), (&[], "validation_loss_before")] {
        let (printed, _) = scene.succeeds("evaluate", &[&arguments[..], more].concat());
        let evaluated: Value = serde_json::from_str(&printed).unwrap();
        let close = |one: &Value, other: &Value| (one.as_f64().unwrap() - other.as_f64().unwrap()).abs() < 1e-6;
        assert!(close(&evaluated["loss"], &report[key]), "{evaluated} {report}");
        assert_eq!((&evaluated["labels"], &evaluated["texts"]), (&report["validation_labels"], &12.into()));
    }
}

#[test]
fn the_warm_up_is_a_share_of_the_run_unless_it_is_given() {
    let scene = scene();
    // 6 steps an epoch, 24 in all.
    scene.train("share", &["--data", "rows", "--epochs", "4"]);
    scene.train("given", &["--data", "rows", "--epochs", "1", "--warmup-steps", "5"]);
    assert_eq!(config(&scene, "share")["recipe"]["warmup_steps"], 2);
    assert_eq!(config(&scene, "given")["recipe"]["warmup_steps"], 5);
    let rates: Vec<f64> =
        scene.metrics("share", "step").iter().map(|step| step["learning_rate"].as_f64().unwrap()).collect();
    assert_eq!((rates.len(), rates[0], rates[2], rates[23]), (24, 0.0, 3e-3, 3e-3));
}

#[test]
fn a_run_that_makes_the_base_worse_says_so() {
    // What is learned is far from what is measured.
    let rows = |word: &str| -> String { (0..16).map(|row| format!("{{\"text\": \"{word} {row}\"}}\n")).collect() };
    let (train, validation) = (rows("7 7 7 7 7 7 7 7"), rows("Tom was sad. Mia is kind."));
    let scene = Scene::new(&[("rows/train.jsonl", &train), ("rows/validation.jsonl", &validation)]);
    let arguments = ["--data", "rows", "--epochs", "1", "--learning-rate", "1e-1", "--warmup-steps", "1"];
    let (report, talk) = scene.train("run", &[&arguments[..], &["--batch-size", "2"]].concat());
    assert!(talk.contains("the base alone does better"), "{talk}");
    assert!(report["validation_loss"].as_f64() > report["validation_loss_before"].as_f64(), "{report}");
}

#[test]
fn packed_texts_have_the_losses_of_padded_ones() {
    let scene = scene();
    let losses = |run: &str, more: &[&str]| -> Vec<[f64; 2]> {
        scene.train(run, &[&["--data", "rows", "--dropout", "0"], more].concat());
        let numbers = |step: &Value| ["task_loss", "gradient_norm"].map(|key| step[key].as_f64().unwrap());
        scene.metrics(run, "step").iter().map(numbers).collect()
    };
    let packed = losses("packed", &["--micro-batch-tokens", "256"]);
    let padded = losses("padded", &["--micro-batch-size", "4"]);
    assert_eq!(config(&scene, "packed")["recipe"]["micro_batch_tokens"], 256);
    assert_eq!(config(&scene, "padded")["recipe"].get("micro_batch_tokens"), None);
    assert_eq!((packed.len(), padded.len()), (12, 12));
    for (packed, padded) in packed.iter().zip(&padded) {
        let far = |at: usize| (packed[at] / padded[at] - 1.0).abs();
        assert!(far(0) < 1e-4 && far(1) < 1e-3, "{packed:?} {padded:?}");
    }
}

#[test]
fn limits_hold_for_rows() {
    let scene = scene();
    let limits = ["--limit-train", "16", "--limit-validation", "5"];
    let (report, talk) = scene.train("run", &[&["--data", "rows"], &limits[..]].concat());
    assert_eq!((&report["train_texts"], &report["validation_texts"]), (&16.into(), &5.into()));
    assert!(talk.contains("train: the first 16 rows of 48"), "{talk}");
}

#[test]
fn patience_ends_a_run_whose_validation_gets_no_better() {
    let scene = scene();
    let arguments = ["--data", "rows", "--epochs", "50", "--learning-rate", "0.3", "--patience", "2"];
    let (report, _) = scene.train("run", &arguments);
    let epochs = scene.metrics("run", "epoch").len() - 1;
    assert_eq!(report["best_epoch"].as_u64().unwrap() as usize + 2, epochs);
    assert!(epochs < 50);
}
