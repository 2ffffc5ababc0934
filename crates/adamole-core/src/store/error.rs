//! Why adapters of a module could not be saved or loaded.

use std::{
    fmt::{self, Display, Formatter},
    io,
    path::{Path, PathBuf},
};

/// Why adapters of a module could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is nothing to save.
    #[error("the module has no adapter; AdaptedLinear::adapt puts one on a linear")]
    NoAdapter,
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{} could not be written: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// A file is not one of [`save_adapters`](crate::save_adapters).
    #[error("{} is not a file of adapters: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file holds adapters that the module does not have, or the module others.
    #[error("{} does not fit the module:{}", path.display(), Lines(mismatches))]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// All that does not fit.
        mismatches: Vec<AdapterMismatch>,
    },
}

/// Where the adapters of a file and those of a module differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterMismatch {
    /// The module has no adapter where the file has one.
    #[error("the module has no adapter at {adapter}, the file has {file}; AdaptedLinear::adapt puts one on a linear")]
    NotInModule {
        /// Its place in the module.
        adapter: String,
        /// What it computes, as JSON.
        file: String,
    },
    /// The file has no adapter where the module has one.
    #[error("the file has no adapter at {adapter}")]
    NotInFile {
        /// Its place in the module.
        adapter: String,
    },
    /// The adapters compute something else.
    #[error("the adapter at {adapter} is {module} in the module and {file} in the file")]
    OtherSettings {
        /// Its place in the module.
        adapter: String,
        /// What that of the file computes, as JSON.
        file: String,
        /// What that of the module computes, as JSON.
        module: String,
    },
    /// A tensor is not in the file.
    #[error("the file has no tensor {tensor}")]
    Missing {
        /// Its place in the module.
        tensor: String,
    },
    /// A tensor that the module has no place for.
    #[error("the module has no parameter {tensor}")]
    Unexpected {
        /// Its name in the file.
        tensor: String,
    },
    /// A tensor has another shape or type.
    #[error("{tensor} is {found}, expected {expected}")]
    Tensor {
        /// Its place in the module.
        tensor: String,
        /// What the file has.
        found: String,
        /// What the module has.
        expected: String,
    },
    /// A value is infinite or not a number.
    #[error("{tensor} has a value that is not finite")]
    NotFinite {
        /// Its place in the module.
        tensor: String,
    },
    /// Adapters share a parameter of which the file has different values.
    #[error("{first} and {second} are one parameter, of which the file has different values")]
    UnequalCopies {
        /// The place of one.
        first: String,
        /// That of another.
        second: String,
    },
}

impl StoreError {
    pub(super) fn write(path: &Path, reason: impl ToString) -> Self {
        Self::Write { path: path.to_owned(), reason: reason.to_string() }
    }

    pub(super) fn format(path: &Path, reason: impl ToString) -> Self {
        Self::Format { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// A line for each.
struct Lines<'a>(&'a [AdapterMismatch]);

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|mismatch| write!(f, "\n  {mismatch}"))
    }
}
