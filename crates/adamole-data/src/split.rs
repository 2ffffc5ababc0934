//! The three parts of a data set.

use serde::{Deserialize, Serialize};

use crate::named::named;

/// A part of a data set, under the name that its file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What the adapter is fitted to.
    Train,
    /// What the paper selects epochs on, and reports.
    Validation,
    /// Often published without labels.
    Test,
}

named!(Split, "split", { Self::Train => "train", Self::Validation => "validation", Self::Test => "test" });
