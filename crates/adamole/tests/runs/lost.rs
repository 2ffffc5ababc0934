//! Runs of which files are gone or damaged: they are mended from what is left, or the loss is said.

use crate::scene::{Scene, assert_same, copy, fails, succeeds};
use std::{fs, path::Path};

/// What is done to the adapter's folder, and its name.
type Damage<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn a_lost_or_foreign_adapter_is_taken_from_the_checkpoint() {
    for method in [&["--method", "adamole"][..], &["--method", "lora", "--chain-links", "3"]] {
        let scene = Scene::new(3, &[method, &["--keep-checkpoints", "99"]].concat());
        succeeds(&scene.begin("whole", &[]).output().unwrap());
        succeeds(&scene.begin("other", &["--seed", "1"]).output().unwrap());
        let adapter = |run: &str| scene.run(run).join("adapter");
        let tensors = "adapter_model.safetensors";
        let truncate = |folder: &Path| fs::write(folder.join(tensors), "half").unwrap();
        let damages: [Damage<'_>; 4] = [
            ("gone", &|folder| fs::remove_dir_all(folder).unwrap()),
            ("half", &|folder| fs::remove_file(folder.join("adapter_config.json")).unwrap()),
            ("truncated", &truncate),
            ("foreign", &|folder| {
                fs::copy(adapter("other").join(tensors), folder.join(tensors)).unwrap();
            }),
        ];
        for (damage, apply) in damages {
            copy(&scene.run("whole"), &scene.run("broken"));
            // The end of the run, when nothing is left to be done but its report.
            fs::remove_file(scene.run("broken/report.json")).unwrap();
            apply(&adapter("broken"));
            let output = scene.resume("broken", &[]).output().unwrap();
            succeeds(&output);
            let talk = String::from_utf8_lossy(&output.stderr);
            assert!(
                damage == "foreign" || talk.contains("is missing: it is taken from the checkpoint"),
                "{damage}: {talk}"
            );
            assert_same(&scene, "broken", "whole");
            fs::remove_dir_all(scene.run("broken")).unwrap();
        }
    }
}

#[test]
fn a_finished_run_without_its_adapter_is_mended_or_refused() {
    let scene = Scene::new(2, &["--method", "lora"]);
    succeeds(&scene.begin("whole", &[]).output().unwrap());
    copy(&scene.run("whole"), &scene.run("broken"));
    fs::remove_dir_all(scene.run("broken/adapter")).unwrap();
    succeeds(&scene.resume("broken", &[]).output().unwrap());
    assert_same(&scene, "broken", "whole");
    fs::remove_dir_all(scene.run("broken/adapter")).unwrap();
    fs::remove_dir_all(scene.run("broken/checkpoints")).unwrap();
    let output = scene.resume("broken", &[]).output().unwrap();
    fails(&output, 1, &["the adapter of the best epoch is not there", "hint: put it back"]);
    assert!(scene.run("broken/report.json").exists(), "the result is still known");
}

#[test]
fn lost_metrics_and_lost_checkpoints_are_said() {
    let scene = Scene::new(2, &["--method", "lora"]);
    succeeds(&scene.begin("whole", &[]).output().unwrap());
    let broken = |file: &str| {
        copy(&scene.run("whole"), &scene.run("broken"));
        fs::remove_file(scene.run("broken/report.json")).unwrap();
        match scene.run("broken").join(file) {
            path if path.is_dir() => fs::remove_dir_all(path).unwrap(),
            path => fs::remove_file(path).unwrap(),
        }
        let output = scene.resume("broken", &[]).output().unwrap();
        succeeds(&output);
        String::from_utf8(output.stderr).unwrap()
    };
    let talk = broken("metrics.jsonl");
    assert!(talk.contains("warning: metrics.jsonl is missing") && talk.contains("of 24 steps"), "{talk}");
    let metrics = fs::read_to_string(scene.run("broken/metrics.jsonl")).unwrap();
    assert_eq!(metrics.matches(r#""event":"epoch""#).count(), 3, "{metrics}");
    fs::remove_dir_all(scene.run("broken")).unwrap();

    let talk = broken("checkpoints");
    assert!(talk.contains("warning: no checkpoint of the run can be used: its 24 steps are repeated"), "{talk}");
    assert_same(&scene, "broken", "whole");
}
