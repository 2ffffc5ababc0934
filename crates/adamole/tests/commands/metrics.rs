//! `adamole metrics`: the metrics of a run for TensorBoard.

use crate::{fails, shown, succeeds};
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

const METRICS: &str = r#"{"event":"start","steps":2,"validations":2,"trainable_parameters":1,"parameters":2,"validation_share":0.1}
{"event":"epoch","epoch":0,"accuracy":0.5,"choice_loss":1.0,"task_loss":null,"balance_loss":null,"mean_active_experts":null,"best":false,"seconds":1.0}
{"event":"step","step":0,"epoch":1,"task_loss":2.5,"balance_loss":null,"gradient_norm":1.0,"learning_rate":0.1,"mean_active_experts":null,"mean_threshold":null,"tokens":9,"seconds":2.0}
{"event":"skipped","step":1,"what":"loss"}
{"event":"step","step":1"#;

#[test]
fn the_metrics_of_a_run_become_an_event_file_while_it_goes_on() {
    let folder = TempDir::new().unwrap();
    let (run, boards) = (folder.path().join("run"), folder.path().join("boards"));
    fs::create_dir(&run).unwrap();
    fs::write(run.join("config.json"), "{}").unwrap();
    fs::write(run.join("metrics.jsonl"), METRICS).unwrap();
    let convert = || -> Value {
        let (run, boards) = (shown(&run), shown(&boards));
        let report = succeeds(&["metrics", &run, "--tensorboard", &boards, "--format", "json"]);
        serde_json::from_str(&report).unwrap()
    };
    let report = convert();
    // The last line is not whole yet.
    assert_eq!(report["events"], 2);
    let file = report["file"].as_str().unwrap();
    let bytes = fs::read(file).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("brain.Event:2") && has("train/task_loss") && has("validation/accuracy"));
    assert!(!has("train/balance_loss"), "what was not measured has no point");
    assert!(bytes.windows(4).any(|window| window == 2.5_f32.to_le_bytes()));
    // Again, with a step more, into the same file.
    let whole = METRICS.rsplit_once('\n').unwrap().0.replace("\"step\":0", "\"step\":1");
    fs::write(run.join("metrics.jsonl"), format!("{METRICS}x\n")).unwrap();
    fails(&["metrics", &shown(&run), "--tensorboard", &shown(&boards)], 1, &["metrics.jsonl", "line 5"]);
    fs::write(run.join("metrics.jsonl"), format!("{whole}\n{whole}\n")).unwrap();
    assert_eq!((convert()["events"].as_u64(), fs::read_dir(&boards).unwrap().count()), (Some(4), 1));
    assert!(fs::read(file).unwrap().len() > bytes.len());
}

#[test]
fn a_folder_without_metrics_is_no_run() {
    let folder = TempDir::new().unwrap();
    let here = shown(folder.path());
    fails(&["metrics", &here, "--tensorboard", &here], 1, &["metrics.jsonl", "takes a run directory"]);
}
