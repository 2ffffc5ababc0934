//! The files of a split: which they are, and their rows one at a time.

mod columns;
mod content;
mod find;
mod footer;
mod layout;
mod lines;
mod list;
mod open;
mod pages;
mod parquet;
mod table;

pub use content::Content;
pub(crate) use find::{SplitFile, find};
pub(crate) use layout::patterns;
pub(crate) use lines::parse_object;
pub(crate) use open::read_text;

use crate::{Benchmark, DataError, Place, Row};
use layout::Format;

/// Most bytes of a row in a text file. A file without line breaks, or with a quote that is never closed, is one
/// endless row; it must not fill the memory.
const MAX_ROW_BYTES: usize = 16 << 20;

/// A row, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberedRow {
    /// Its fields.
    pub row: Row,
    /// In a text file its line, in Parquet and in a JSON list its place, counted from 1. In a split of several files the count goes on from
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
        Format::Json => json(file)?,
        Format::Separated(separator) => Box::new(table::Table::open(file, separator)?),
        Format::Parquet => Box::new(parquet::ParquetRows::open(&file.path, benchmark)?),
    })
}

/// A file with an object a line, or with one list of objects, whatever its name.
fn json(file: &SplitFile) -> Result<Rows, DataError> {
    let (text, prefix) = open::open_text(&file.path, file.compression)?;
    Ok(match prefix.trim_ascii_start().first() {
        Some(b'[') => Box::new(list::List::new(text, file.path.clone())),
        _ => Box::new(lines::Lines::new(text, file.path.clone())),
    })
}
