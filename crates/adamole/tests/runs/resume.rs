//! Runs that are killed, damaged and resumed: what comes of them is what an unbroken run gives, bit by bit.

#[cfg(target_os = "linux")]
use crate::mount::Mount;
use crate::scene::{Scene, assert_same, copy, datasets, fails, succeeds, traces, wait_for};
use serde_json::Value;
use std::{fs, process::Command, thread::sleep, time::Instant};

/// `ADAMOLE_KILLS` sets how many kills there are in all; the default suits a test suite.
#[test]
fn a_run_that_is_killed_at_any_instant_goes_on_as_if_nothing_had_been() {
    let kills: u64 = std::env::var("ADAMOLE_KILLS").ok().map_or(8, |kills| kills.parse().unwrap());
    let scene = Scene::new(3, &["--method", "adamole"]);
    let started = Instant::now();
    succeeds(&scene.begin("whole", &[]).output().unwrap());
    let whole = started.elapsed();
    let (mut killed, mut runs, mut seed) = (0, 0, 0x9e37_79b9_u64);
    while killed < kills {
        runs += 1;
        loop {
            // Instants all over a run, the reading of its files and its end included.
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut child = scene.go_on("broken");
            sleep(whole.mul_f64((seed >> 33) as f64 / f64::from(1_u32 << 31) * 0.7));
            if child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
        }
        assert_same(&scene, "broken", "whole");
        fs::remove_dir_all(scene.run("broken")).unwrap();
    }
    eprintln!("{killed} kills, {runs} runs, each the same as the unbroken one");
}

#[test]
fn a_chain_is_resumed_within_its_links() {
    let scene = Scene::new(3, &["--method", "lora", "--chain-links", "3", "--keep-checkpoints", "99"]);
    succeeds(&scene.begin("whole", &[]).output().unwrap());
    // As if the run had been killed in its second and third link.
    for step in [18, 30] {
        let broken = format!("broken-{step}");
        copy(&scene.run("whole"), &scene.run(&broken));
        fs::remove_file(scene.run(&broken).join("report.json")).unwrap();
        for newer in step + 1..=36 {
            fs::remove_file(scene.run(&broken).join(format!("checkpoints/step-{newer:08}.safetensors"))).unwrap();
        }
        succeeds(&scene.resume(&broken, &[]).output().unwrap());
        assert_same(&scene, &broken, "whole");
    }
}

#[test]
fn a_run_on_text_is_resumed_within_an_epoch_and_between_two() {
    let scene = Scene::on_text(2, &["--method", "adamole", "--keep-checkpoints", "99"]);
    succeeds(&scene.begin("whole", &[]).output().unwrap());
    // As if the run had been killed within its warm-up, between its epochs, and within the second one.
    for step in [1, 12, 17] {
        let broken = format!("broken-{step}");
        copy(&scene.run("whole"), &scene.run(&broken));
        fs::remove_file(scene.run(&broken).join("report.json")).unwrap();
        for newer in step + 1..=24 {
            fs::remove_file(scene.run(&broken).join(format!("checkpoints/step-{newer:08}.safetensors"))).unwrap();
        }
        let output = scene.resume(&broken, &[]).output().unwrap();
        succeeds(&output);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(talk.contains(&format!("resuming after {step} steps")), "{talk}");
        assert_same(&scene, &broken, "whole");
    }
    // Other rows are another run.
    copy(&scene.run("broken-17"), &scene.run("changed"));
    fs::remove_file(scene.run("changed/report.json")).unwrap();
    let rows = scene.run("requests/train.jsonl");
    fs::write(&rows, fs::read_to_string(&rows).unwrap().replacen("Remind", "remind", 1)).unwrap();
    let changed = ["changed since the run began: the data: ", "--allow-changes resumes nevertheless"];
    fails(&scene.resume("changed", &[]).output().unwrap(), 2, &changed);
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let scene = Scene::new(3, &["--method", "adamole", "--keep-checkpoints", "3"]);
    succeeds(&scene.begin("whole", &[]).output().unwrap());
    copy(&scene.run("whole"), &scene.run("broken"));
    fs::remove_file(scene.run("broken/report.json")).unwrap();
    let checkpoint = |step: usize| scene.run(&format!("broken/checkpoints/step-{step:08}.safetensors"));
    let newest = fs::read(checkpoint(36)).unwrap();
    // One that is cut off, and one with a single bit changed in its values.
    fs::write(checkpoint(36), &newest[..newest.len() - 7]).unwrap();
    let mut older = fs::read(checkpoint(35)).unwrap();
    let middle = older.len() / 2;
    older[middle] ^= 1;
    fs::write(checkpoint(35), older).unwrap();
    let output = scene.resume("broken", &[]).output().unwrap();
    succeeds(&output);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(talk.matches("is skipped").count() == 2 && talk.contains("resuming after 34 steps"), "{talk}");
    assert!(talk.contains("its sha256 is not that of its content"), "{talk}");
    assert_same(&scene, "broken", "whole");
}

#[test]
fn numbers_that_are_not_finite_are_noticed_skipped_and_end_the_run() {
    let scene = Scene::new(3, &["--method", "lora"]);
    let output = scene.begin("run", &["--max-skipped-steps", "2", "--weight-decay", "1e38"]).output().unwrap();
    fails(&output, 3, &["nothing of the step was applied", "hint: try a lower"]);
    let metrics = fs::read_to_string(scene.run("run/metrics.jsonl")).unwrap();
    assert_eq!(metrics.matches(r#""event":"skipped""#).count(), 2, "{metrics}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_run_and_leaves_its_last_checkpoint() {
    let scene = Scene::new(3, &["--method", "lora"]);
    succeeds(&scene.begin("whole", &[]).output().unwrap());
    let file_size = |path: &str| fs::metadata(scene.run(path)).unwrap().len();
    // Before the first validation there is no best adapter in it, which is one part of four.
    let checkpoint = file_size("whole/checkpoints/step-00000036.safetensors") * 3 / 4;
    // Room for one and a half checkpoints, and for the small files.
    let Some(mount) = Mount::new(scene.run("full"), &format!("size={}", checkpoint * 3 / 2 + 100_000)) else { return };
    let failed = scene.begin("full", &[]).output().unwrap();
    fails(&failed, 1, &["full/checkpoints/step-00000002.safetensors", "No space left on device"]);
    let left: Vec<_> =
        fs::read_dir(scene.run("full/checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [scene.run("full/checkpoints/step-00000001.safetensors")], "no half file is left behind");
    mount.remount("size=64m");
    succeeds(&scene.resume("full", &[]).output().unwrap());
    assert_same(&scene, "full", "whole");

    let Some(mount) = Mount::new(scene.run("read-only"), "size=1m") else { return };
    mount.remount("ro");
    fails(&scene.begin("read-only", &[]).output().unwrap(), 1, &["read-only/run.lock", "Read-only file system"]);
}

#[test]
fn a_file_that_is_removed_under_the_run_is_noticed() {
    let scene = Scene::new(400, &["--method", "lora"]);
    let child = scene.begin("run", &[]).spawn().unwrap();
    wait_for(&scene.run("run/checkpoints"));
    fs::remove_file(scene.run("run/metrics.jsonl")).unwrap();
    fails(&child.wait_with_output().unwrap(), 1, &["run/metrics.jsonl", "No such file"]);
    assert!(fs::read_dir(scene.run("run/checkpoints")).unwrap().count() > 0);
}

#[test]
fn the_record_says_where_settings_are_from_and_a_third_split_is_reported_apart() {
    let scene = Scene::new(2, &["--method", "mole", "--top-k", "1", "--report-split", "test", "--config", "run.toml"]);
    fs::copy(datasets().join("copa/test.jsonl"), scene.run("copa/test.jsonl")).unwrap();
    fs::write(scene.run("run.toml"), "epochs = 7\nalpha = 8.0\n").unwrap();
    let output = scene.begin("run", &[]).output().unwrap();
    succeeds(&output);
    let config: Value = serde_json::from_slice(&fs::read(scene.run("run/config.json")).unwrap()).unwrap();
    assert_eq!((&config["origins"]["epochs"], &config["origins"]["alpha"]), (&"flag".into(), &"file".into()));
    assert_eq!((&config["recipe"]["epochs"], &config["origins"]["seed"]), (&2.into(), &Value::Null));
    assert!(config["fingerprint"]["data"].as_str().unwrap().len() == 64);
    let environment = &config["environment"];
    let version = Command::new(env!("CARGO_BIN_EXE_adamole")).arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    // The revision is known where git was at hand when the program was built.
    match environment["revision"].as_str() {
        Some(revision) => assert!(version.contains(&format!("({revision}")) && environment["changed"].is_boolean()),
        None => assert!(environment["changed"].is_null() && !version.contains('('), "{version}"),
    }
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let base = datasets().join("base").display().to_string();
    let evaluate = ["evaluate", "--model", &base, "--adapter", "run", "--benchmark", "copa", "--data", "copa"];
    let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
    program.args(evaluate).args(["--split", "test", "--format", "json"]).current_dir(scene.folder.path());
    let output = program.env("HF_HUB_OFFLINE", "1").env("XDG_CACHE_HOME", scene.run("cache")).output().unwrap();
    let evaluated: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["reported"]["split"], "test");
    assert_eq!((&report["reported"]["accuracy"], &report["reported"]["items"]), (&evaluated["accuracy"], &200.into()));
}

#[test]
fn experts_that_do_not_fire_are_reported_and_patience_ends_a_run() {
    // No expert reaches a threshold of nearly 1.
    let scene = Scene::new(400, &["--method", "mole", "--threshold", "0.999", "--patience", "5"]);
    let output = scene.begin("run", &[]).output().unwrap();
    succeeds(&output);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(talk.contains("no expert of model.layers.0.self_attn.q_proj is active, and "), "{talk}");
    // Nothing is learnt without experts: the first epoch is the best.
    let (_, metrics, report) = traces(&scene.run("run"));
    assert_eq!((&report["best_epoch"], metrics.last().unwrap()["epoch"].as_u64()), (&1.into(), Some(6)));
}

#[test]
fn event_files_hold_every_step_and_validation() {
    let scene = Scene::new(2, &["--method", "adamole"]);
    succeeds(&scene.begin("run", &["--tensorboard"]).output().unwrap());
    let files: Vec<_> =
        fs::read_dir(scene.run("run/tensorboard")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let bytes = fs::read(&files[0]).unwrap();
    assert_eq!(files.len(), 1);
    let (mut rest, mut records, mut accuracies, mut loads) = (bytes.as_slice(), 0, 0, 0);
    while let Some((length, after)) = rest.split_first_chunk::<8>() {
        let length = u64::from_le_bytes(*length) as usize;
        let event = &after[4..4 + length];
        accuracies += usize::from(event.windows(19).any(|window| window == b"validation/accuracy"));
        loads += event.windows(12).filter(|window| window == b"load/expert_").count();
        (rest, records) = (&after[length + 8..], records + 1);
    }
    // The version and the start of the session, 24 steps, and 3 validations.
    assert_eq!((records, accuracies, loads), (2 + 24 + 3, 3, 24 * 8));
    for step in traces(&scene.run("run")).1.iter().filter(|line| line["event"] == "step") {
        let load: f64 = step["expert_load"].as_array().unwrap().iter().map(|share| share.as_f64().unwrap()).sum();
        assert!((load - 1.0).abs() < 1e-9, "{step}");
    }
}
