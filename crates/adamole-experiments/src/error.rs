//! The errors of a study.

use std::{error::Error, io, path::PathBuf};

/// The error of a study.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The reason of the operating system.
        source: io::Error,
    },
    /// A definition cannot be parsed, or has an unknown key.
    #[error("{file}: {source}")]
    Toml {
        /// The file.
        file: String,
        /// The line and the reason.
        source: Box<toml::de::Error>,
    },
    /// A name is not defined.
    #[error("{place}: {what} {name} is unknown; known: {known}")]
    Unknown {
        /// The file or flag with the name.
        place: String,
        /// The kind of thing, such as a method or benchmark.
        what: &'static str,
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// A file or folder of a custom benchmark does not exist.
    #[error("{file}: benchmark {name}: {}: {source}", path.display())]
    OwnBenchmark {
        /// The table's file.
        file: String,
        /// The benchmark.
        name: String,
        /// Its file or folder.
        path: PathBuf,
        /// The reason of the operating system.
        source: io::Error,
    },
    /// A file defines a method or benchmark whose name is taken.
    #[error("{file}: {what} {name} is defined already")]
    DefinedTwice {
        /// The file.
        file: String,
        /// A method or a benchmark.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A table of the paper does not have the paper's rows and columns.
    #[error("{file}: {difference}")]
    NotThePapers {
        /// The file.
        file: String,
        /// The difference.
        difference: String,
    },
    /// Two runs with different settings would share their results.
    #[error("{file}: two runs with different settings would both be called {name}")]
    SameName {
        /// The table's file.
        file: String,
        /// The name of both.
        name: String,
    },
    /// A comparison has no learning rates, or one that is none or is there twice.
    #[error("comparison.rates.values is {values:?}, expected learning rates above 0, each once")]
    Rates {
        /// The rates.
        values: Vec<f64>,
    },
    /// The seed of the trials is reported.
    #[error("seed {seed} is that of the trials of learning rates, whose runs are not reported; expected other seeds")]
    TrialSeed {
        /// The seed.
        seed: u64,
    },
    /// A preset without a comparison has nothing to measure.
    #[error("--measure is for a preset with a comparison of methods")]
    NothingToMeasure,
    /// No cell is selected.
    #[error("no cell matches all of the options; --dry-run without them lists all cells")]
    NothingAsked,
    /// A model has to be made before it can be used.
    #[error("{title} needs --model {role}=DIR{remedy}")]
    ModelMissing {
        /// The model.
        title: String,
        /// Its name in experiments.
        role: String,
        /// The command that makes it, in words.
        remedy: String,
    },
    /// A model has another hash than the preset's.
    #[error(
        "{} has SHA-256 {found}, and the preset's {title} has {expected}; for another model give --preset a copy of the preset's \
         file that names it",
        path.display()
    )]
    OtherModel {
        /// The weights.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The model.
        title: String,
        /// The hash in the preset.
        expected: String,
    },
    /// A model or benchmark ships with the source and is missing.
    #[error("{path} ships with the project's source; run `cargo xtask reproduce` there, or name another preset")]
    NoSource {
        /// Its path in the source.
        path: String,
    },
    /// A cell has no reported items.
    #[error("{cell}: its settings have no report_split, on whose items the accuracy is reported")]
    NoReport {
        /// The cell.
        cell: String,
    },
    /// Items that choose the epoch of a cell are reported.
    #[error(
        "{cell}: its report_split has items of its validation_split, which choose the epoch; a comparison reports others"
    )]
    ReportChooses {
        /// The cell.
        cell: String,
    },
    /// A cell cannot be estimated without its model and data.
    #[error("{cell}: the preset gives no sizes to estimate from")]
    NoSizes {
        /// The cell.
        cell: String,
    },
    /// The program refuses a cell's settings.
    #[error("{cell}: {message}")]
    Refused {
        /// The cell.
        cell: String,
        /// The message of the program.
        message: String,
    },
    /// The program ended with an error.
    #[error("{command} ended with {status}\n{log}")]
    Failed {
        /// The program's command.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines of its log.
        log: String,
    },
    /// The output of the program is not a result.
    #[error("the program's result: {0}")]
    Printed(String),
    /// A result file cannot be parsed.
    #[error("{}: {source}; remove it to run the cell again", path.display())]
    Result {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: serde_json::Error,
    },
    /// Another process is running the cell.
    #[error("{}: another process holds it", path.display())]
    InUse {
        /// The lock.
        path: PathBuf,
    },
    /// The program is not built.
    #[error("the program is not built")]
    NoProgram,
    /// A report is incomplete, or a required claim does not hold.
    #[error("the report is not complete:\n{}", .0.join("\n"))]
    NotWhole(Vec<String>),
    /// Cells failed. The others were run.
    #[error("{count} cells failed, see {}", report.display())]
    CellsFailed {
        /// The number of failed cells.
        count: usize,
        /// The report with the last lines of their logs.
        report: PathBuf,
    },
    /// A signal stopped the study; runs have saved where they were.
    #[error("stopped by a signal; the same command goes on where it stopped")]
    Stopped {
        /// Its number.
        signal: usize,
    },
    /// A command of Slurm failed.
    #[error("{command}: {message}")]
    Slurm {
        /// The command.
        command: &'static str,
        /// What it said.
        message: String,
    },
    /// Jobs of an earlier submission are still in the queue.
    #[error("jobs of this study are still in the queue: {jobs}; `scancel {jobs}` removes them, what is done stays")]
    Queued {
        /// Their numbers.
        jobs: String,
    },
    /// The host failed.
    #[error(transparent)]
    Host(Box<dyn Error + Send + Sync>),
}

impl ExperimentError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }
}
