//! Where a row stands.

use std::fmt;
use std::path::PathBuf;

/// Where a row stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub spot: Spot,
}

/// A place within a file; everything counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// A line of a text file; of a record that spans several, the first.
    Line(usize),
    /// An element of a JSON list.
    Element(usize),
    /// A row of a row group of a Parquet file.
    Row {
        /// The row group.
        group: usize,
        /// The row within the group.
        row: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.spot {
            Spot::Line(line) => write!(f, "{path}:{line}"),
            Spot::Element(number) => write!(f, "{path}: row {number}"),
            Spot::Row { group, row } => write!(f, "{path}: row group {group}, row {row}"),
        }
    }
}
