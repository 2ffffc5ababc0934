//! What was read in a way that its author may not expect. Libraries print nothing: whoever loads a model shows these.

use std::{fmt, path::PathBuf};

/// Something in a model's or an adapter's files that was understood, but perhaps not as it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelWarning {
    /// The file.
    pub path: PathBuf,
    /// What it says, and how that is taken.
    pub what: String,
}

impl fmt::Display for ModelWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}
