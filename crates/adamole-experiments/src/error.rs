//! What can go wrong between a definition and a report.

use std::{error::Error, io, path::PathBuf};

/// Why an experiment cannot be planned, run or reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// A file or folder cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A definition does not parse, or has a key that is unknown.
    #[error("{file}: {source}")]
    Toml {
        /// The file.
        file: String,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Something is named that nothing defines.
    #[error("{place}: {what} {name} is unknown; known: {known}")]
    Unknown {
        /// The file or flag that names it.
        place: String,
        /// "method", "benchmark" and so on.
        what: &'static str,
        /// The name.
        name: String,
        /// What there is.
        known: String,
    },
    /// A file or folder of a benchmark of one's own is not there.
    #[error("{file}: benchmark {name}: {}: {source}", path.display())]
    OwnBenchmark {
        /// The table's file.
        file: String,
        /// The benchmark.
        name: String,
        /// Its file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file brings a method or benchmark along whose name is taken.
    #[error("{file}: {what} {name} is defined already")]
    DefinedTwice {
        /// The file.
        file: String,
        /// "method" or "benchmark".
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A table that the paper has does not have the paper's rows and columns.
    #[error("{file}: {difference}")]
    NotThePapers {
        /// The file.
        file: String,
        /// What differs.
        difference: String,
    },
    /// Two runs with different settings would share their results.
    #[error("{file}: two runs with different settings would both be called {name}")]
    SameName {
        /// The table's file.
        file: String,
        /// What both would be called.
        name: String,
    },
    /// A shard is not one of a number of parts.
    #[error("{0} is no shard, expected 1/3, 2/3 or 3/3 for three machines")]
    Shard(String),
    /// Filters leave nothing.
    #[error("no cell is of all that is asked for; --dry-run alone lists them all")]
    NothingAsked,
    /// A model has to be made before it can be used.
    #[error("{title} needs --model {role}=DIR{remedy}")]
    ModelMissing {
        /// The model.
        title: String,
        /// What experiments call it.
        role: String,
        /// How it is made.
        remedy: String,
    },
    /// Results of a preset are of one file, and this is another.
    #[error(
        "{} has SHA-256 {found}, and the preset's {title} has {expected}; for another model give --preset a copy of the preset's \
         file that names it",
        path.display()
    )]
    OtherModel {
        /// The file of weights.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The model.
        title: String,
        /// The hash of its weights.
        expected: String,
    },
    /// A model or benchmark ships with the source and is not there.
    #[error("{path} ships with the project's source; run `cargo xtask reproduce` there, or name another preset")]
    NoSource {
        /// Where it would be.
        path: String,
    },
    /// A cell has no items that are reported.
    #[error("{cell}: its settings have no report_split, on whose items the accuracy is reported")]
    NoReport {
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
        /// What the program said.
        message: String,
    },
    /// The program ended with an error.
    #[error("{command} ended with {status}\n{log}")]
    Failed {
        /// The program's command.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines of what it said.
        log: String,
    },
    /// The program printed something else than its result.
    #[error("the program's result: {0}")]
    Printed(String),
    /// A result file is not what was written.
    #[error("{}: {source}; remove it to run the cell again", path.display())]
    Result {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Another process runs the cell.
    #[error("{}: another process holds it", path.display())]
    InUse {
        /// The lock.
        path: PathBuf,
    },
    /// There is no program to run.
    #[error("the program is not built")]
    NoProgram,
    /// A report lacks something, or something that must hold does not.
    #[error("the report is not whole:\n{}", .0.join("\n"))]
    NotWhole(Vec<String>),
    /// Cells failed; the others were run.
    #[error("{count} cells failed, see {}", report.display())]
    CellsFailed {
        /// How many.
        count: usize,
        /// Where their logs' last lines are.
        report: PathBuf,
    },
    /// What the runner was started from failed.
    #[error(transparent)]
    Host(Box<dyn Error + Send + Sync>),
}

impl ExperimentError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }
}
