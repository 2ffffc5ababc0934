//! The items of a split: all of them, or one at a time.

use std::collections::VecDeque;
use std::path::Path;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

use crate::error::unknown_name;
use crate::files::{RowOf, RowReader};
use crate::{Benchmark, DataError, MultipleChoice, NumberedRow, Split};

/// The most bad rows that a report describes; further ones are only counted.
const DESCRIBED: usize = 100;

/// How many rows after a bad first one are read, to tell a bad row from a file of another kind.
const LOOKED_AT: usize = 16;

/// What is done about a row that does not fit its benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, Display, EnumString, VariantNames)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = DataError, parse_err_fn = unknown_name::<Self>)]
pub enum OnBadRow {
    /// Reading ends with an error.
    #[default]
    Fail,
    /// The row is skipped and counted.
    Skip,
}

/// Counts of what was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadReport {
    /// Rows, including bad ones.
    pub rows: usize,
    /// Items.
    pub items: usize,
    /// Items without an answer.
    pub unlabelled: usize,
    /// Rows that the benchmark leaves out, such as questions about an image.
    pub left_out: usize,
    /// Bad rows that were skipped.
    pub bad_rows: usize,
    /// The problems of the first 100 bad rows, with their places.
    pub bad: Vec<String>,
}

impl ReadReport {
    /// Adds the counts of what was read later.
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

/// The items of a split and the counts of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitItems {
    /// The items in the order of the files.
    pub items: Vec<MultipleChoice>,
    /// The counts.
    pub report: ReadReport,
}

/// Reads a split from the files in `folder`, at most `limit` items.
///
/// # Errors
///
/// Those of [`SplitReader`], and [`DataError::Empty`] if there is no item.
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
/// [`DataError::Unlabelled`] with the row of the first item without an answer.
pub fn require_labels(items: &[MultipleChoice]) -> Result<(), DataError> {
    match items.iter().find(|item| item.answer.is_none()) {
        Some(item) => Err(DataError::Unlabelled { benchmark: item.benchmark.to_string(), row: item.row }),
        None => Ok(()),
    }
}

/// An iterator over the items of a split.
///
/// A row that cannot be read is an error with its file, line or row group, field and value, or is skipped and counted, as set by
/// [`Self::on_bad_row`]. After an error about a row the rows after it can still be read; any other error ends the iterator.
#[derive(Debug)]
pub struct SplitReader<'a> {
    rows: RowReader<'a>,
    /// Rows that were read ahead.
    ahead: VecDeque<RowOf<'a>>,
    on_bad_row: OnBadRow,
    report: ReadReport,
    ended: bool,
}

impl<'a> SplitReader<'a> {
    /// Opens a split, as [`RowReader::open`] does. Bad rows are errors.
    ///
    /// # Errors
    ///
    /// Those of [`RowReader::open`].
    pub fn open(benchmark: &'a Benchmark, folder: &Path, split: Split) -> Result<Self, DataError> {
        let (rows, on_bad_row) = (RowReader::open(benchmark, folder, split)?, OnBadRow::Fail);
        Ok(Self { rows, ahead: VecDeque::new(), on_bad_row, report: ReadReport::default(), ended: false })
    }

    /// Sets what is done about bad rows.
    #[must_use]
    pub fn on_bad_row(self, on_bad_row: OnBadRow) -> Self {
        Self { on_bad_row, ..self }
    }

    /// The counts of what was read so far.
    pub fn report(&self) -> &ReadReport {
        &self.report
    }

    /// The counts of all that was read.
    ///
    /// # Errors
    ///
    /// [`DataError::Empty`] if there was no item.
    pub fn finish(self) -> Result<ReadReport, DataError> {
        match self.report.items {
            0 => Err(DataError::Empty { path: self.rows.first_file().into(), report: Box::new(self.report) }),
            _ => Ok(self.report),
        }
    }

    fn item(&mut self, row: RowOf<'a>) -> Result<Option<MultipleChoice>, DataError> {
        let (benchmark, row) = row?;
        let item = question(benchmark, self.rows.split(), &row)?;
        match &item {
            Some(item) => {
                self.report.items += 1;
                self.report.unlabelled += usize::from(item.answer.is_none());
            }
            None => self.report.left_out += 1,
        }
        Ok(item)
    }

    /// The error of a bad row, or of all rows if this is the first one and the rows after it have the same problem.
    fn explain(&mut self, error: DataError) -> DataError {
        let DataError::Row { place, problem } = error else { return error };
        if self.report.rows > 1 {
            return DataError::Row { place, problem };
        }
        self.ahead.extend(std::iter::from_fn(|| self.rows.advance()).take(LOOKED_AT));
        let is_alike = |row: &RowOf<'a>| {
            let found = row.as_ref().map(|(benchmark, row)| question(benchmark, self.rows.split(), row));
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
