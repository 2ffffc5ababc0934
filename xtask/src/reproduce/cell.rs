//! One cell: a training run of the program, and evaluations on the test split.

use crate::Failure;
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use toml::Table;

/// What is to be run, and where its files are.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) benchmark: String,
    pub(crate) method: String,
    pub(crate) folder: PathBuf,
    pub(crate) settings: Table,
}

/// What the files of a cell say.
#[derive(Debug)]
pub(crate) struct CellResult {
    pub(crate) benchmark: String,
    pub(crate) method: String,
    /// Results by name: `train`, `test` (the adapter on the test split), `untuned` (the base on it).
    pub(crate) results: Vec<(&'static str, Value)>,
    /// The last lines of the log of a cell that failed.
    pub(crate) failure: Option<String>,
}

const RESULTS: [&str; 3] = ["train", "test", "untuned"];

impl Cell {
    pub(crate) fn name(&self) -> String {
        format!("{} on {}", self.method, self.benchmark)
    }

    /// Whether all results are there and belong to this definition.
    pub(crate) fn is_complete(&self) -> bool {
        let same = fs::read_to_string(self.definition()).is_ok_and(|text| text == self.definition_text());
        same && RESULTS.iter().all(|name| self.read(name).is_some())
    }

    /// Runs the cell from its beginning.
    pub(crate) fn run(&self, program: &Path) -> Result<(), Failure> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)?;
        }
        fs::create_dir_all(&self.folder)?;
        fs::write(self.definition(), self.definition_text())?;
        let path = |path: PathBuf| path.display().to_string();
        let run = path(self.folder.join("run"));
        self.start(program, "train", &["train", "--config", &path(self.definition()), "--output", &run])?;
        let text = |key: &str| self.settings.get(key).and_then(toml::Value::as_str).unwrap_or_default();
        let mut evaluate = vec!["evaluate", "--split", "test"];
        for (flag, key) in [("--model", "model"), ("--data", "data"), ("--benchmark", "benchmark")] {
            evaluate.extend([flag, text(key)]);
        }
        self.start(program, "untuned", &evaluate)?;
        evaluate.extend(["--adapter", &run]);
        self.start(program, "test", &evaluate)
    }

    /// Runs the program once; its result goes to `NAME.json`, its talk to `NAME.log`.
    fn start(&self, program: &Path, name: &str, arguments: &[&str]) -> Result<(), Failure> {
        let log = File::create(self.folder.join(format!("{name}.log")))?;
        let output = Command::new(program)
            .args(arguments)
            .args(["--format", "json"])
            .stderr(log)
            .stdout(Stdio::piped())
            .output()?;
        if !output.status.success() {
            return Err(format!("{} ended with {}", arguments[0], output.status).into());
        }
        Ok(fs::write(self.folder.join(format!("{name}.json")), output.stdout)?)
    }

    /// Reads what the files say.
    pub(crate) fn result(&self) -> CellResult {
        let results: Vec<(&'static str, Value)> =
            RESULTS.iter().filter_map(|name| Some((*name, self.read(name)?))).collect();
        let failure = (results.len() < RESULTS.len()).then(|| {
            let missing = RESULTS.iter().find(|name| self.read(name).is_none()).copied().unwrap_or_default();
            let log = fs::read_to_string(self.folder.join(format!("{missing}.log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            match lines.len() {
                0 => "not run".to_owned(),
                count => lines[count.saturating_sub(5)..].join("\n"),
            }
        });
        CellResult { benchmark: self.benchmark.clone(), method: self.method.clone(), results, failure }
    }

    fn read(&self, name: &str) -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(self.folder.join(format!("{name}.json"))).ok()?).ok()
    }

    fn definition(&self) -> PathBuf {
        self.folder.join("run.toml")
    }

    fn definition_text(&self) -> String {
        self.settings.to_string()
    }
}

impl CellResult {
    /// A number of one of the results.
    pub(crate) fn number(&self, result: &str, key: &str) -> Option<f64> {
        self.results.iter().find(|(name, _)| *name == result)?.1[key].as_f64()
    }
}
