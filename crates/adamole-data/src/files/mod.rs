//! The files of a split and their rows.

mod columns;
mod find;
mod footer;
mod json;
mod open;
mod pages;
mod parquet;
mod table;
pub(crate) mod text;

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::json::Object;
use crate::row::{NumberedRow, Place, Row};
use crate::{Benchmark, DataError, Split};
use find::Format;

pub(crate) use columns::Needed;
pub(crate) use find::{SplitFile, patterns};
pub(crate) use json::parse_object;
pub use open::Content;
pub(crate) use open::read_text;

/// The most bytes of a row in a text file. A file without line breaks, or with a quote that is never closed, is one endless
/// row, which must not fill the memory.
pub(crate) const MAX_ROW_BYTES: usize = 16 << 20;

/// The rows of a file. After an error that [is about a row](DataError::is_about_a_row) the rows after it can be read.
pub(crate) type Rows = Box<dyn Iterator<Item = Result<FileRow, DataError>> + Send>;

/// A row as it is in its file.
#[derive(Debug)]
pub(crate) struct FileRow {
    /// The fields in the order of the file.
    pub(crate) fields: Object,
    /// The line in a text file, the index in Parquet or a JSON list, counted from 1.
    pub(crate) number: usize,
    pub(crate) place: Place,
}

impl From<FileRow> for NumberedRow {
    fn from(FileRow { fields, number, place }: FileRow) -> Self {
        let fields = fields.into_iter().map(|(name, value)| (name, value.into()));
        Self { row: Row::new(fields.collect()), number, place }
    }
}

/// Opens a file, of which only the needed fields are read where that saves work.
pub(crate) fn rows(file: &SplitFile, needed: Needed) -> Result<Rows, DataError> {
    Ok(match file.format {
        Format::Json => json::rows(file)?,
        Format::Separated(separator) => Box::new(table::Table::open(file, separator)?),
        Format::Parquet => Box::new(parquet::ParquetRows::open(&file.path, needed)?),
    })
}

/// A row and its benchmark.
pub(crate) type RowOf<'a> = Result<(&'a Benchmark, NumberedRow), DataError>;

/// The rows of a split, file after file; of a mixture, part after part. The memory that it takes is that of one row, or of one
/// page of Parquet, whatever the size of the file.
pub struct RowReader<'a> {
    files: VecDeque<(&'a Benchmark, SplitFile)>,
    current: Option<(&'a Benchmark, Rows)>,
    /// Rows of the files before the current one.
    before: usize,
    /// Number of the last row of the current file.
    last: usize,
    first: PathBuf,
    split: Split,
}

impl fmt::Debug for RowReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowReader").field("first", &self.first).field("left", &self.files).finish_non_exhaustive()
    }
}

impl<'a> RowReader<'a> {
    /// Finds the files of a split. JSON Lines (plain, `.gz` or `.zst`), CSV and TSV (likewise) and Parquet are read, in the
    /// layouts of data sets on the hub: `train.jsonl`, `train-00000-of-00002.parquet`, `data/train-...`,
    /// `<configuration>/train-...`, `<configuration>/train/0000.parquet`.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFile`], which lists the names in the folder, [`DataError::MissingShard`],
    /// [`DataError::AmbiguousSplit`] or [`DataError::FileKind`].
    pub fn open(benchmark: &'a Benchmark, folder: &Path, split: Split) -> Result<Self, DataError> {
        let mut files = VecDeque::new();
        for part in benchmark.parts() {
            files.extend(find::find(part, folder, split)?.into_iter().map(|file| (part, file)));
        }
        let first = files.front().map_or_else(|| folder.into(), |(_, file): &(_, SplitFile)| file.path.clone());
        Ok(Self { files, current: None, before: 0, last: 0, first, split })
    }

    /// The split that is read.
    pub(crate) fn split(&self) -> Split {
        self.split
    }

    /// The first file of the split.
    pub(crate) fn first_file(&self) -> &Path {
        &self.first
    }

    /// The next row and its benchmark.
    pub(crate) fn advance(&mut self) -> Option<RowOf<'a>> {
        loop {
            if let Some((benchmark, rows)) = &mut self.current {
                match rows.next() {
                    Some(Ok(row)) => {
                        let mut row = NumberedRow::from(row);
                        self.last = row.number;
                        row.number += self.before;
                        return Some(Ok((benchmark, row)));
                    }
                    Some(Err(error)) => return Some(Err(error)),
                    None => {}
                }
            }
            let (benchmark, file) = self.files.pop_front()?;
            self.before = match &self.current {
                Some((previous, _)) if std::ptr::eq(*previous, benchmark) => self.before + self.last,
                _ => 0,
            };
            self.last = 0;
            match rows(&file, Needed::of(benchmark)) {
                Ok(rows) => self.current = Some((benchmark, rows)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Iterator for RowReader<'_> {
    type Item = Result<NumberedRow, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().map(|row| row.map(|(_, row)| row))
    }
}
