//! Runs that are killed, stopped, damaged and resumed: what comes of them is what an unbroken run gives, bit by bit.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(unix)]

#[cfg(target_os = "linux")]
#[path = "../../adamole-hub/tests/fetching/mount.rs"]
mod mount;

#[cfg(target_os = "linux")]
use mount::Mount;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

fn datasets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets").canonicalize().unwrap()
}

/// Runs of 12 steps an epoch, in a folder of their own.
struct Scene {
    folder: TempDir,
    fixed: Vec<String>,
}

impl Scene {
    fn new(epochs: usize, method: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join("copa")).unwrap();
        for split in ["train.jsonl", "validation.jsonl"] {
            fs::copy(datasets().join("copa").join(split), folder.path().join("copa").join(split)).unwrap();
        }
        let (base, epochs) = (datasets().join("base").display().to_string(), epochs.to_string());
        let data = ["--model", &base, "--benchmark", "copa", "--data", "copa", "--limit-train", "96"];
        let recipe = ["--epochs", &epochs, "--batch-size", "8", "--learning-rate", "3e-3", "--warmup-steps", "4"];
        let rest = ["--limit-validation", "32", "--checkpoint-every", "1", "--format", "json"];
        let fixed = [&data[..], &recipe, &rest, method].concat();
        Self { folder, fixed: fixed.into_iter().map(String::from).collect() }
    }

    fn run(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
        program.arg("train").env("HF_HUB_OFFLINE", "1").env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        program.current_dir(self.folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        program
    }

    fn begin(&self, name: &str, more: &[&str]) -> Command {
        let mut program = self.program();
        program.args(&self.fixed).args(["--output", name]).args(more);
        program
    }

    fn resume(&self, name: &str, more: &[&str]) -> Command {
        let mut program = self.program();
        program.args(["--resume", name, "--format", "json"]).args(more);
        program
    }

    /// Begins the run or goes on with it, whichever is due.
    fn go_on(&self, name: &str) -> Child {
        let begun = self.run(name).join("metrics.jsonl").exists();
        if begun { self.resume(name, &[]) } else { self.begin(name, &[]) }.spawn().unwrap()
    }
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn fails(output: &Output, code: i32, parts: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(code), "{:?}: {error}", output.status);
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

/// Everything but what depends on time and memory.
fn timeless(mut value: Value) -> Value {
    let timed = ["seconds", "tokens_per_second", "gigaflop_per_second", "share_of_matmul_peak"];
    for key in timed.into_iter().chain(["peak_memory_bytes", "adapter"]) {
        value.as_object_mut().unwrap().remove(key);
    }
    value
}

/// The adapter's bytes, the metrics and the report of a run.
fn traces(run: &Path) -> (Vec<u8>, Vec<Value>, Value) {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let metrics = metrics.lines().map(|line| timeless(serde_json::from_str(line).unwrap())).collect();
    let report = serde_json::from_slice(&fs::read(run.join("report.json")).unwrap()).unwrap();
    (fs::read(run.join("adapter/adapter_model.safetensors")).unwrap(), metrics, timeless(report))
}

#[track_caller]
fn assert_same(scene: &Scene, one: &str, other: &str) {
    let routing = |run: &str| fs::read_to_string(scene.run(run).join("routing.json")).ok();
    assert_eq!(routing(one), routing(other));
    let ((adapter, metrics, report), other) = (traces(&scene.run(one)), traces(&scene.run(other)));
    for (mine, theirs) in metrics.iter().zip(&other.1) {
        assert_eq!(mine, theirs);
    }
    assert_eq!((metrics.len(), report), (other.1.len(), other.2));
    assert!(adapter == other.0, "the adapters differ");
}

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

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn a_signal_saves_and_stops() {
    // So many epochs that the signal comes in time.
    let scene = Scene::new(400, &["--method", "adamole"]);
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let name = format!("run-{signal}");
        let child = scene.begin(&name, &[]).spawn().unwrap();
        wait_for(&scene.run(&name).join("checkpoints"));
        let asked = Instant::now();
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        fails(&output, code, &["stopped by a signal after", "hint: go on with --resume"]);
        assert!(!scene.run(&name).join("report.json").exists());
    }
}

#[test]
fn a_second_signal_ends_the_program_within_the_step() {
    // One step over all the data, one micro-batch after the other, which takes seconds anywhere.
    let mut scene = Scene::new(1, &["--method", "adamole", "--rank", "64", "--workers", "1"]);
    for (flag, value) in [("--limit-train", "400"), ("--batch-size", "400")] {
        let place = scene.fixed.iter().position(|argument| argument == flag).unwrap();
        scene.fixed[place + 1] = value.into();
    }
    let child = scene.begin("run", &[]).spawn().unwrap();
    let id = child.id().to_string();
    let interrupt = || assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    let metrics = scene.run("run/metrics.jsonl");
    let waited = Instant::now();
    // The validation before training is done: the step has begun.
    while !fs::read_to_string(&metrics).is_ok_and(|lines| lines.contains(r#""event":"epoch""#)) {
        assert!(waited.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(20));
    }
    interrupt();
    // Two signals at the same instant are one.
    sleep(Duration::from_millis(200));
    let asked = Instant::now();
    interrupt();
    let output = child.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    fails(&output, 130, &[]);
    // It did not stop by itself, after the step: that would have been said and saved.
    assert!(!String::from_utf8_lossy(&output.stderr).contains("stopped by a signal"));
    assert!(!fs::read_to_string(&metrics).unwrap().contains(r#""event":"step""#));
    assert!(!scene.run("run/checkpoints").exists());
}

fn wait_for(folder: &Path) {
    let started = Instant::now();
    while fs::read_dir(folder).map_or(0, Iterator::count) == 0 {
        assert!(started.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_has_changed_is_refused_and_shown() {
    let scene = Scene::new(2, &["--method", "lora"]);
    succeeds(&scene.begin("run", &[]).output().unwrap());
    fs::remove_file(scene.run("run/report.json")).unwrap();
    let resume = |more: &[&str]| scene.resume("run", more).output().unwrap();
    fails(&resume(&["--epochs", "3", "--rank", "8"]), 2, &["epochs: 2 -> 3", "rank: default -> ", "--allow-changes"]);
    let rows = fs::read_to_string(scene.run("copa/train.jsonl")).unwrap();
    fs::write(scene.run("copa/train.jsonl"), rows.replacen("\"label\":0", "\"label\":1", 1)).unwrap();
    fails(&resume(&[]), 2, &["changed since the run began: the data: "]);
    fs::write(scene.run("copa/train.jsonl"), rows).unwrap();
    // What does not change the course of a run may change, and so may the rest if that is what is wanted.
    succeeds(&resume(&["--workers", "1"]));
    fs::remove_file(scene.run("run/report.json")).unwrap();
    let output = resume(&["--epochs", "3", "--allow-changes"]);
    succeeds(&output);
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning: changed since the run began: epochs: 2 -> 3"));
    assert_eq!(traces(&scene.run("run")).2["epochs"], 3);
}

#[test]
fn a_finished_run_is_not_resumed_and_a_begun_one_not_overwritten() {
    let scene = Scene::new(3, &["--method", "lora"]);
    succeeds(&scene.begin("run", &[]).output().unwrap());
    fails(&scene.resume("run", &[]).output().unwrap(), 2, &["run holds a finished run", "hint: its result is"]);
    fails(&scene.begin("run", &[]).output().unwrap(), 2, &["already holds a run", "hint: go on with it by --resume"]);
    fails(&scene.resume("nowhere", &[]).output().unwrap(), 1, &["nowhere/settings.json"]);
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
    assert!(talk.matches("is passed over").count() == 2 && talk.contains("resuming after 34 steps"), "{talk}");
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
    let checkpoint = file_size("whole/checkpoints/step-00000036.safetensors");
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
    fails(&scene.begin("read-only", &[]).output().unwrap(), 1, &["read-only/config.json", "Read-only file system"]);
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
    assert!(talk.contains("no expert of model.layers.0.self_attn.q_proj fires, and "), "{talk}");
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
