//! The items of a split, one at a time.

use std::collections::VecDeque;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{self, Rows, SplitFile};
use crate::named::named;
use crate::{Benchmark, DataError, MultipleChoice, NumberedRow, Split};

/// How many bad rows are described; beyond that they are only counted.
const DESCRIBED: usize = 100;

/// How many rows after a bad first one are looked at, to tell a bad row from a file of another kind.
const LOOKED_AT: usize = 16;

/// What is done about a row that is not as its benchmark has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadRow {
    /// Reading ends with an error.
    #[default]
    Fail,
    /// The row is left out and counted.
    Skip,
}

named!(OnBadRow, "way with bad rows", { Self::Fail => "fail", Self::Skip => "skip" });

/// What has been read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadReport {
    /// Rows, bad ones included.
    pub rows: usize,
    /// Items that came of them.
    pub items: usize,
    /// Items without an answer.
    pub unlabelled: usize,
    /// Rows that the benchmark leaves out, such as questions about an image.
    pub left_out: usize,
    /// Rows that were skipped because they are bad.
    pub bad_rows: usize,
    /// What is wrong with them and where: the first 100.
    pub bad: Vec<String>,
}

impl ReadReport {
    /// Adds what was read after this.
    pub fn add(&mut self, next: Self) {
        self.rows += next.rows;
        self.items += next.items;
        self.unlabelled += next.unlabelled;
        self.left_out += next.left_out;
        self.bad_rows += next.bad_rows;
        self.bad.extend(next.bad);
        self.bad.truncate(DESCRIBED);
    }
}

/// The items of a split, and what became of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitItems {
    /// In the order of the files.
    pub items: Vec<MultipleChoice>,
    /// Counts.
    pub report: ReadReport,
}

/// Reads a split from the files in `folder`, at most `limit` items of it.
///
/// # Errors
///
/// Those of [`SplitReader`], and [`DataError::Empty`] if not a single item is there.
pub fn read_split(
    benchmark: &Benchmark,
    folder: &Path,
    split: Split,
    limit: Option<usize>,
    on_bad_row: OnBadRow,
) -> Result<SplitItems, DataError> {
    let mut reader = SplitReader::open(benchmark, folder, split)?.on_bad_row(on_bad_row);
    let items = reader.by_ref().take(limit.unwrap_or(usize::MAX)).collect::<Result<Vec<_>, _>>()?;
    let report = if limit == Some(0) { reader.report } else { reader.finish()? };
    Ok(SplitItems { items, report })
}

/// Checks that every item has an answer, as training and scoring need.
///
/// # Errors
///
/// [`DataError::Unlabelled`] with the row of the first item that has none.
pub fn require_labels(items: &[MultipleChoice]) -> Result<(), DataError> {
    match items.iter().find(|item| item.answer.is_none()) {
        Some(item) => Err(DataError::Unlabelled { benchmark: item.benchmark.to_string(), row: item.row }),
        None => Ok(()),
    }
}

/// A row, and the benchmark that it is of.
type RowOf<'a> = Result<(&'a Benchmark, NumberedRow), DataError>;

/// The rows of a split, file after file; of a mixture, part after part. A file of any size takes the memory of a row,
/// or of a page of Parquet.
pub struct RowReader<'a> {
    files: VecDeque<(&'a Benchmark, SplitFile)>,
    current: Option<(&'a Benchmark, Rows)>,
    /// Rows of the files before the current one.
    before: usize,
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
    /// Finds the files of a split. JSON Lines (plain, `.gz` or `.zst`), CSV and TSV (likewise) and Parquet are read,
    /// in the layouts that data sets on the hub have: `train.jsonl`, `train-00000-of-00002.parquet`,
    /// `data/train-...`, `<configuration>/train-...`, `<configuration>/train/0000.parquet`.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFile`], which lists what the folder has, [`DataError::MissingShard`],
    /// [`DataError::AmbiguousSplit`] or [`DataError::FileKind`].
    pub fn open(benchmark: &'a Benchmark, folder: &Path, split: Split) -> Result<Self, DataError> {
        let mut all = VecDeque::new();
        for part in benchmark.parts() {
            all.extend(files::find(part, folder, split)?.into_iter().map(|file| (part, file)));
        }
        let first = all.front().map_or_else(|| folder.into(), |(_, file)| file.path.clone());
        Ok(Self { files: all, current: None, before: 0, last: 0, first, split })
    }

    /// The next row, and the benchmark that it is of.
    fn advance(&mut self) -> Option<RowOf<'a>> {
        loop {
            if let Some((benchmark, rows)) = &mut self.current {
                match rows.next() {
                    Some(Ok(mut row)) => {
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
            match files::rows(&file, benchmark) {
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

/// The items of a split, read row by row.
///
/// A row that cannot be read is an error with its file, line or row group, field and value, or is skipped and counted,
/// as [`Self::on_bad_row`] says. After an error about a row the rows after it can still be read; after any other the
/// iterator ends.
#[derive(Debug)]
pub struct SplitReader<'a> {
    rows: RowReader<'a>,
    /// Rows that were looked at, but not handed out.
    ahead: VecDeque<RowOf<'a>>,
    on_bad_row: OnBadRow,
    report: ReadReport,
    ended: bool,
}

impl<'a> SplitReader<'a> {
    /// Opens a split as [`RowReader::open`] does; bad rows are errors.
    ///
    /// # Errors
    ///
    /// Those of [`RowReader::open`].
    pub fn open(benchmark: &'a Benchmark, folder: &Path, split: Split) -> Result<Self, DataError> {
        let rows = RowReader::open(benchmark, folder, split)?;
        Ok(Self {
            rows,
            ahead: VecDeque::new(),
            on_bad_row: OnBadRow::Fail,
            report: ReadReport::default(),
            ended: false,
        })
    }

    /// Decides about bad rows.
    #[must_use]
    pub fn on_bad_row(self, on_bad_row: OnBadRow) -> Self {
        Self { on_bad_row, ..self }
    }

    /// What has been read so far.
    pub fn report(&self) -> &ReadReport {
        &self.report
    }

    /// What has been read in all.
    ///
    /// # Errors
    ///
    /// [`DataError::Empty`] if no item came of it.
    pub fn finish(self) -> Result<ReadReport, DataError> {
        match self.report.items {
            0 => Err(DataError::Empty { path: self.rows.first, report: Box::new(self.report) }),
            _ => Ok(self.report),
        }
    }

    fn item(&mut self, row: RowOf<'a>) -> Result<Option<MultipleChoice>, DataError> {
        let (benchmark, row) = row?;
        let item = question(benchmark, self.rows.split, &row)?;
        match &item {
            Some(item) => {
                self.report.items += 1;
                self.report.unlabelled += usize::from(item.answer.is_none());
            }
            None => self.report.left_out += 1,
        }
        Ok(item)
    }

    /// The error about a row; if it is the first, and those after it are bad in the same way, about all of them.
    fn explain(&mut self, error: DataError) -> DataError {
        let DataError::Row { place, problem } = error else { return error };
        if self.report.rows > 1 {
            return DataError::Row { place, problem };
        }
        self.ahead.extend(std::iter::from_fn(|| self.rows.advance()).take(LOOKED_AT));
        let is_alike = |row: &RowOf<'a>| {
            let found = row.as_ref().map(|(benchmark, row)| question(benchmark, self.rows.split, row));
            matches!(found, Ok(Err(DataError::Row { problem: other, .. })) if other.field() == problem.field())
        };
        match self.ahead.iter().all(is_alike) {
            true => DataError::EveryRow { place, problem, looked: self.ahead.len() },
            false => DataError::Row { place, problem },
        }
    }
}

fn question(benchmark: &Benchmark, split: Split, row: &NumberedRow) -> Result<Option<MultipleChoice>, DataError> {
    let question = benchmark.question_in(Some(split), &row.row, row.number);
    question.map_err(|problem| DataError::Row { place: row.place.clone(), problem })
}

impl Iterator for SplitReader<'_> {
    type Item = Result<MultipleChoice, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let row = self.ahead.pop_front().or_else(|| self.rows.advance())?;
            self.report.rows += 1;
            match self.item(row) {
                Ok(Some(item)) => return Some(Ok(item)),
                Ok(None) => {}
                Err(error) if !error.is_about_a_row() => {
                    self.ended = true;
                    return Some(Err(error));
                }
                Err(error) if self.on_bad_row == OnBadRow::Fail => {
                    let error = self.explain(error);
                    self.ended = !error.is_about_a_row();
                    return Some(Err(error));
                }
                Err(error) => {
                    self.report.bad_rows += 1;
                    if self.report.bad.len() < DESCRIBED {
                        self.report.bad.push(error.to_string());
                    }
                }
            }
        }
        None
    }
}
