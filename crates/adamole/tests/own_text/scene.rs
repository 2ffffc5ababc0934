//! A folder with rows and runs in it, and how the program is started there.

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// The shipped base, which has no chat template.
fn base() -> String {
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets");
    datasets.join("base").canonicalize().unwrap().display().to_string()
}

/// The first rows of a shipped file of requests.
pub(crate) fn requests(split: &str, rows: usize) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../datasets/text/requests/{split}.jsonl"));
    fs::read_to_string(file).unwrap().lines().take(rows).map(|line| line.to_owned() + "\n").collect()
}

pub(crate) struct Scene(TempDir);

impl Scene {
    /// A folder with these files.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let scene = Self(TempDir::new().unwrap());
        for (name, text) in files {
            let path = scene.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command with the shipped base.
    pub(crate) fn run(&self, command: &str, arguments: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_adamole"));
        program.env("HF_HUB_OFFLINE", "1").env("HF_HOME", self.path("hub")).current_dir(self.0.path());
        program.args([command, "--model", &base()]).args(arguments).output().unwrap()
    }

    /// Runs a command, and returns what it printed and said.
    #[track_caller]
    pub(crate) fn succeeds(&self, command: &str, arguments: &[&str]) -> (String, String) {
        let output = self.run(command, arguments);
        let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(output.status.success(), "{stderr}");
        (stdout, stderr)
    }

    /// Trains for two epochs into `output`, and returns the report and what was said.
    #[track_caller]
    pub(crate) fn train(&self, output: &str, arguments: &[&str]) -> (Value, String) {
        let recipe =
            ["--method", "lora", "--rank", "8", "--epochs", "2", "--batch-size", "8", "--learning-rate", "3e-3"];
        let own = |flag: &&str| !arguments.contains(flag);
        let recipe: Vec<&str> = recipe.chunks(2).filter(|pair| own(&pair[0])).flatten().copied().collect();
        let rest = ["--output", output, "--format", "json"];
        let (stdout, stderr) = self.succeeds("train", &[&recipe, &rest[..], arguments].concat());
        let report: Value = serde_json::from_str(&stdout).unwrap();
        let written: Value = serde_json::from_slice(&fs::read(self.path(output).join("report.json")).unwrap()).unwrap();
        assert_eq!(report, written);
        (report, stderr)
    }

    /// The lines of a run's metrics that are of this event.
    pub(crate) fn metrics(&self, run: &str, event: &str) -> Vec<Value> {
        let lines = fs::read_to_string(self.path(run).join("metrics.jsonl")).unwrap();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["event"] == event).collect()
    }

    /// Runs a command and expects that it fails with `code`, an error that has all of `parts`, and nothing on stdout.
    #[track_caller]
    pub(crate) fn fails(&self, command: &str, arguments: &[&str], code: i32, parts: &[&str]) {
        let output = self.run(command, arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(output.stdout.is_empty() && !error.contains("panicked"), "{error}");
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
    }
}
