//! A cell with its settings, and the processes that run it.

use crate::{
    ExperimentError, definition::Definitions, experiment::Rate, lock, outcome::read_json, place::Places, plan::Key,
    preset::Portion,
};
use serde_json::Value;
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use toml::Table;

/// A cell: one run of the program, with its evaluations.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) key: Key,
    /// The content of the configuration file of `adamole train`.
    pub(crate) settings: Table,
    pub(crate) is_trained: bool,
    /// The method whose learning rate it tries, if it is a trial.
    pub(crate) trial_of: Option<String>,
    /// Whether it waits for the choice of its learning rate, and its settings have another one.
    pub(crate) waits: bool,
    /// Whether its report is of items that chose no epoch, as a comparison says.
    pub(crate) reports_apart: bool,
    /// Whether the adapter is also evaluated with the scoring of the reference implementation.
    pub(crate) reference_scoring: bool,
    pub(crate) portion: Portion,
    /// The name of a well-known model, or a folder with a config.json.
    pub(crate) shape: String,
}

/// Settings that `adamole evaluate` takes too.
const OF_EVALUATION: [&str; 10] = [
    "model",
    "benchmark",
    "data",
    "shuffle_parts",
    "dtype",
    "device",
    "workers",
    "max_tokens",
    "truncation",
    "on_bad_row",
];

/// How a run is started.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// `None` if nothing runs and the program is not built.
    pub(crate) program: Option<PathBuf>,
    pub(crate) device: String,
    /// Threads of each run; `None` for the program's default.
    pub(crate) workers: Option<usize>,
    /// The number of the signal that asks to stop, 0 before.
    pub(crate) signal: Arc<AtomicUsize>,
}

impl Launch {
    /// An error once a signal has asked to stop.
    pub(crate) fn unless_stopped(&self) -> Result<(), ExperimentError> {
        match self.signal.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => Err(ExperimentError::Stopped { signal }),
        }
    }
}

impl Cell {
    /// The cell of this key. Its settings are those of the preset, the family, the benchmark, the method and the column, of which later
    /// ones override earlier ones.
    pub(crate) fn new(
        definitions: &Definitions,
        key: &Key,
        places: &Places,
        launch: &Launch,
    ) -> Result<Self, ExperimentError> {
        let preset = &definitions.preset;
        let unknown = || ExperimentError::Unknown {
            place: "the preset".into(),
            what: "cell",
            name: key.id(),
            known: "those that --dry-run lists".into(),
        };
        let variant = definitions.variant_named(&key.method).ok_or_else(unknown)?;
        let method = definitions.methods.get(&variant.method).ok_or_else(unknown)?;
        let portion = preset.benchmarks.get(&key.benchmark).ok_or_else(unknown)?;
        let model = preset.models.get(&key.model).ok_or_else(unknown)?;
        let family = method.family.as_ref().and_then(|family| preset.families.get(family));
        let mut settings = preset.settings.clone();
        for more in family.into_iter().chain([&portion.settings, &variant.settings]) {
            settings.extend(more.clone());
        }
        let own = definitions.benchmarks.get(&key.benchmark).and_then(|benchmark| benchmark.file.as_deref());
        settings.insert("benchmark".into(), own.map_or_else(|| key.benchmark.clone(), text).into());
        settings.insert("seed".into(), i64::try_from(key.seed).unwrap_or(i64::MAX).into());
        settings.insert("model".into(), places.model(&key.model, model).unwrap_or_default().into());
        if let Some(data) = places.data(&key.benchmark, definitions, portion)? {
            settings.insert("data".into(), data.into());
        }
        settings.insert("device".into(), launch.device.clone().into());
        if let Some(workers) = launch.workers {
            settings.insert("workers".into(), i64::try_from(workers).unwrap_or(i64::MAX).into());
        }
        let is_trained = key.method != "untuned";
        let (mut trial_of, mut waits, mut reports_apart) = (None, false, false);
        match variant.rate {
            Rate::Trial { .. } => {
                trial_of = Some(variant.method.clone());
                // What chooses a rate is all that a trial is measured on.
                let split = settings.get("validation_split").cloned().unwrap_or_else(|| "validation".into());
                settings.insert("report_split".into(), split);
            }
            Rate::Chosen if is_trained => {
                let chosen = definitions.rates.get(&variant.method);
                let any = preset.comparison.as_ref().and_then(|comparison| comparison.rates.values.first());
                (waits, reports_apart) = (chosen.is_none(), true);
                settings.extend(chosen.or(any).map(|rate| ("learning_rate".to_owned(), (*rate).into())));
            }
            Rate::Chosen | Rate::Set => {}
        }
        if !settings.contains_key("report_split") {
            return Err(ExperimentError::NoReport { cell: key.id() });
        }
        let shipped = places.root.as_deref().map(|root| root.join(&model.shape)).filter(|folder| folder.is_dir());
        let shape = shipped.map_or_else(|| model.shape.clone(), |folder| folder.display().to_string());
        let (key, portion, reference_scoring) = (key.clone(), portion.clone(), preset.reference_scoring);
        Ok(Self { key, settings, is_trained, trial_of, waits, reports_apart, reference_scoring, portion, shape })
    }

    /// Runs what is left of the cell in `folder` and returns the output of the training run, if there is one, and of the evaluations
    /// with aligned and reference scoring.
    pub(crate) fn run(&self, launch: &Launch, folder: &Path) -> Result<Printed, ExperimentError> {
        let run = folder.join("run");
        let started = Instant::now();
        let train = match self.is_trained {
            true => Some(self.train(launch, folder, &run)?),
            false => None,
        };
        let trained = train.as_ref().and_then(|report| report["seconds"].as_f64()).unwrap_or_default();
        let earlier_seconds = (trained - started.elapsed().as_secs_f64()).max(0.0);
        let adapter = self.is_trained.then_some(run.as_path());
        // A training run reports the accuracy with aligned scoring itself.
        let aligned = match self.is_trained {
            true => None,
            false => Some(self.evaluate(launch, folder, "aligned", adapter)?),
        };
        let reference = match self.reference_scoring {
            true => Some(self.evaluate(launch, folder, "reference", adapter)?),
            false => None,
        };
        let answers = if self.is_trained { run.join("reported.jsonl") } else { folder.join("aligned.jsonl") };
        // A finished run needs no checkpoints.
        let checkpoints = run.join("checkpoints");
        if checkpoints.exists() {
            fs::remove_dir_all(&checkpoints).map_err(ExperimentError::io(&checkpoints))?;
        }
        Ok(Printed { train, aligned, reference, answers, earlier_seconds })
    }

    /// The report of the training run. An interrupted run is resumed, a finished one is not run again.
    fn train(&self, launch: &Launch, folder: &Path, run: &Path) -> Result<Value, ExperimentError> {
        let report = run.join("report.json");
        if report.exists() {
            return read_json(&report);
        }
        if run.join("checkpoints").exists() {
            match start(launch, folder, "train", &["train", "--resume", &text(run)]) {
                Ok(_) => return read_json(&report),
                Err(stopped @ ExperimentError::Stopped { .. }) => return Err(stopped),
                Err(_) => {}
            }
        }
        if run.exists() {
            // A run that outlived its study may still write there.
            lock::hold(&run.join("run.lock"))?;
            fs::remove_dir_all(run).map_err(ExperimentError::io(run))?;
        }
        let config = folder.join("run.toml");
        fs::write(&config, self.settings.to_string()).map_err(ExperimentError::io(&config))?;
        start(launch, folder, "train", &["train", "--config", &text(&config), "--output", &text(run)])
    }

    fn evaluate(
        &self,
        launch: &Launch,
        folder: &Path,
        scoring: &str,
        run: Option<&Path>,
    ) -> Result<Value, ExperimentError> {
        let mut arguments = vec!["evaluate".to_owned(), "--scoring".into(), scoring.into()];
        for key in OF_EVALUATION {
            if let Some(value) = self.settings.get(key) {
                arguments.push(format!("--{}", key.replace('_', "-")));
                arguments.push(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
        let split = self.settings.get("report_split").and_then(toml::Value::as_str).unwrap_or_default();
        let predictions = text(&folder.join(format!("{scoring}.jsonl")));
        arguments.extend(["--split".into(), split.into(), "--predictions".into(), predictions]);
        arguments.extend(run.into_iter().flat_map(|run| ["--adapter".into(), text(run)]));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        start(launch, folder, scoring, &arguments)
    }
}

/// The output of the program for a cell.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) train: Option<Value>,
    pub(crate) aligned: Option<Value>,
    /// `None` if it is not evaluated.
    pub(crate) reference: Option<Value>,
    /// The file with the scores of each reported item.
    pub(crate) answers: PathBuf,
    /// The time of the training run before this invocation.
    pub(crate) earlier_seconds: f64,
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Runs the program once, with stderr in `NAME.log`.
fn start(launch: &Launch, folder: &Path, name: &str, arguments: &[&str]) -> Result<Value, ExperimentError> {
    let path = folder.join(format!("{name}.log"));
    let program = launch.program.as_ref().ok_or(ExperimentError::NoProgram)?;
    let log = File::create(&path).map_err(ExperimentError::io(&path))?;
    let mut command = Command::new(program);
    command.args(arguments).args(["--format", "json"]).stderr(log).stdout(Stdio::piped());
    if let Some(workers) = launch.workers {
        command.env("RAYON_NUM_THREADS", workers.to_string());
    }
    let output = ended(command.spawn().map_err(ExperimentError::io(program))?, launch);
    let output = output.map_err(ExperimentError::io(program))?;
    if output.status.success() {
        return serde_json::from_slice(&output.stdout).map_err(|error| ExperimentError::Printed(error.to_string()));
    }
    launch.unless_stopped()?;
    let log = fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    Err(ExperimentError::Failed {
        command: arguments.first().copied().unwrap_or_default().to_owned(),
        status: output.status.to_string(),
        log: lines[lines.len().saturating_sub(8)..].join("\n"),
    })
}

/// Waits for a run; when this process is asked to stop, the run is.
fn ended(run: Child, launch: &Launch) -> io::Result<Output> {
    let is_over = AtomicBool::new(false);
    let id = run.id();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if launch.unless_stopped().is_err() {
                    return ask_to_stop(id);
                }
                thread::sleep(LOOK);
            }
        });
        let output = run.wait_with_output();
        is_over.store(true, Ordering::Relaxed);
        output
    })
}

/// Between two looks at whether this process is asked to stop.
const LOOK: Duration = Duration::from_millis(50);

#[cfg(unix)]
fn ask_to_stop(process: u32) {
    // SAFETY: sends a signal to a child that has not been waited for.
    unsafe { libc::kill(process.cast_signed(), libc::SIGTERM) };
}

#[cfg(not(unix))]
fn ask_to_stop(_process: u32) {}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

    /// The shipped bases and samples, with results in `output`.
    pub(crate) fn places(output: &Path) -> Places {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        Places { root: Some(root), models: BTreeMap::new(), data: None, output: output.to_owned() }
    }

    /// LoRA on COPA with seed 3.
    pub(crate) fn cell(places: &Places, launch: &Launch) -> Result<Cell, crate::TestError> {
        let [model, benchmark, method] = ["base", "copa", "lora"].map(str::to_owned);
        Ok(Cell::new(&Definitions::read("tiny", None)?, &Key { model, benchmark, method, seed: 3 }, places, launch)?)
    }

    #[test]
    fn an_interrupted_run_counts_its_earlier_time() -> Result<(), crate::TestError> {
        let folder = tempfile::tempdir()?;
        let program = folder.path().join("program");
        fs::write(&program, "#!/bin/sh\necho '{}'\n")?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let launch = Launch { program: Some(program), device: "cpu".into(), workers: None, signal: Arc::default() };
        let cell = cell(&places(folder.path()), &launch)?;
        assert_eq!(cell.run(&launch, folder.path())?.earlier_seconds, 0.0);

        let run = folder.path().join("run");
        fs::create_dir_all(&run)?;
        fs::write(run.join("report.json"), r#"{"seconds": 900.0}"#)?;
        let earlier = cell.run(&launch, folder.path())?.earlier_seconds;
        assert!((890.0..900.0).contains(&earlier), "{earlier}");
        Ok(())
    }
}
