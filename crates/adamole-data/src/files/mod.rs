//! The files of a split: which they are, and their rows one at a time.

mod csv;
mod find;
mod lines;
mod open;
mod parquet;

pub(crate) use find::{SplitFile, find};
pub(crate) use lines::parse_object;
pub(crate) use open::cannot_open;

use crate::{Benchmark, DataError, Place, Row};
use find::Format;

/// Most bytes of a row in a text file. A file without line breaks, or with a quote that is never closed, is one
/// endless row; it must not fill the memory.
const MAX_ROW_BYTES: usize = 16 << 20;

/// A row, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberedRow {
    /// Its fields.
    pub row: Row,
    /// In a text file its line, in Parquet its row, counted from 1. In a split of several files the count goes on from
    /// file to file.
    pub number: usize,
    /// Where it stands.
    pub place: Place,
}

/// The rows of a file. After an error that [is about a row](DataError::is_about_a_row) the rows after it can be read.
pub(crate) type Rows = Box<dyn Iterator<Item = Result<NumberedRow, DataError>> + Send>;

/// Opens a file, of which only the fields of `benchmark` need be read.
pub(crate) fn rows(file: &SplitFile, benchmark: &Benchmark) -> Result<Rows, DataError> {
    Ok(match file.format {
        Format::JsonLines => Box::new(lines::Lines::open(file)?),
        Format::Separated(delimiter) => Box::new(csv::Records::open(file, delimiter)?),
        Format::Parquet => Box::new(parquet::ParquetRows::open(&file.path, benchmark)?),
    })
}
