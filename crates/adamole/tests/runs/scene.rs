//! A folder with data and runs in it, and how the program is started there.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

pub(crate) fn datasets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets").canonicalize().unwrap()
}

/// Runs of 12 steps an epoch, in a folder of their own.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) fixed: Vec<String>,
}

impl Scene {
    pub(crate) fn new(epochs: usize, method: &[&str]) -> Self {
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

    /// Runs on the shipped requests, of 12 steps an epoch, packed.
    pub(crate) fn on_text(epochs: usize, method: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        for (split, rows) in [("train.jsonl", 96), ("validation.jsonl", 16)] {
            let text = fs::read_to_string(datasets().join("text/requests").join(split)).unwrap();
            let first: String = text.lines().take(rows).map(|row| row.to_owned() + "\n").collect();
            fs::create_dir_all(folder.path().join("requests")).unwrap();
            fs::write(folder.path().join("requests").join(split), first).unwrap();
        }
        let (base, epochs) = (datasets().join("base").display().to_string(), epochs.to_string());
        let data = ["--model", &base, "--data", "requests", "--chat-template", "chatml"];
        let recipe =
            ["--epochs", &epochs, "--batch-size", "8", "--learning-rate", "3e-3", "--micro-batch-tokens", "300"];
        let rest = ["--checkpoint-every", "1", "--format", "json"];
        let fixed = [&data[..], &recipe, &rest, method].concat();
        Self { folder, fixed: fixed.into_iter().map(String::from).collect() }
    }

    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn program(&self) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
        program.arg("train").env("HF_HUB_OFFLINE", "1").env("XDG_CACHE_HOME", self.folder.path().join("cache"));
        program.current_dir(self.folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        program
    }

    pub(crate) fn begin(&self, name: &str, more: &[&str]) -> Command {
        let mut program = self.program();
        program.args(&self.fixed).args(["--output", name]).args(more);
        program
    }

    pub(crate) fn resume(&self, name: &str, more: &[&str]) -> Command {
        let mut program = self.program();
        program.args(["--resume", name, "--format", "json"]).args(more);
        program
    }

    /// Begins the run or goes on with it, whichever is due.
    pub(crate) fn go_on(&self, name: &str) -> Child {
        let begun = self.run(name).join("metrics.jsonl").exists();
        if begun { self.resume(name, &[]) } else { self.begin(name, &[]) }.spawn().unwrap()
    }
}

#[track_caller]
pub(crate) fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
pub(crate) fn fails(output: &Output, code: i32, parts: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(code), "{:?}: {error}", output.status);
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

/// Everything but what depends on time and memory.
pub(crate) fn timeless(mut value: Value) -> Value {
    let timed = ["seconds", "tokens_per_second", "gigaflop_per_second", "share_of_matmul_peak"];
    for key in timed.into_iter().chain(["peak_memory_bytes", "adapter"]) {
        value.as_object_mut().unwrap().remove(key);
    }
    value
}

/// The adapter's bytes, the metrics and the report of a run.
pub(crate) fn traces(run: &Path) -> (Vec<u8>, Vec<Value>, Value) {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let metrics = metrics.lines().map(|line| timeless(serde_json::from_str(line).unwrap())).collect();
    let report = serde_json::from_slice(&fs::read(run.join("report.json")).unwrap()).unwrap();
    (fs::read(run.join("adapter/adapter_model.safetensors")).unwrap(), metrics, timeless(report))
}

#[track_caller]
pub(crate) fn assert_same(scene: &Scene, one: &str, other: &str) {
    let routing = |run: &str| fs::read_to_string(scene.run(run).join("routing.json")).ok();
    assert_eq!(routing(one), routing(other));
    let ((adapter, metrics, report), other) = (traces(&scene.run(one)), traces(&scene.run(other)));
    for (mine, theirs) in metrics.iter().zip(&other.1) {
        assert_eq!(mine, theirs);
    }
    assert_eq!((metrics.len(), report), (other.1.len(), other.2));
    assert!(adapter == other.0, "the adapters differ");
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

pub(crate) fn wait_for(folder: &Path) {
    let started = Instant::now();
    while fs::read_dir(folder).map_or(0, Iterator::count) == 0 {
        assert!(started.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(20));
    }
}
