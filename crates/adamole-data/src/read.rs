//! Reading a split from JSON Lines, one line at a time.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::row::Row;
use crate::{Benchmark, DataError, Item, Split};

/// Reads `<folder>/<split>.jsonl`, at most `limit` items of it.
///
/// # Errors
///
/// Those of [`SplitReader`], and [`DataError::Empty`] if not a single item is there.
pub fn read_split(
    benchmark: &'static Benchmark,
    folder: &Path,
    split: Split,
    limit: Option<usize>,
) -> Result<Vec<Item>, DataError> {
    let mut reader = SplitReader::open(benchmark, folder, split)?;
    let items = reader.by_ref().take(limit.unwrap_or(usize::MAX)).collect::<Result<Vec<_>, _>>()?;
    if items.is_empty() && limit != Some(0) {
        return Err(DataError::Empty { path: reader.path, skipped: reader.skipped });
    }
    Ok(items)
}

/// Checks that every item has an answer, as training and scoring need.
///
/// # Errors
///
/// [`DataError::Unlabelled`] with the line of the first item that has none.
pub fn require_labels(items: &[Item]) -> Result<(), DataError> {
    match items.iter().find(|item| item.answer.is_none()) {
        Some(item) => Err(DataError::Unlabelled { line: item.id }),
        None => Ok(()),
    }
}

/// The items of a split, read line by line, so that a file of any size takes the memory of one row.
///
/// Blank lines are passed over. An item that cannot be read is an error with the path, the line and the field; the
/// lines after it can still be read.
#[derive(Debug)]
pub struct SplitReader {
    benchmark: &'static Benchmark,
    lines: BufReader<File>,
    path: PathBuf,
    line: usize,
    bytes: Vec<u8>,
    skipped: usize,
}

impl SplitReader {
    /// Opens `<folder>/<split>.jsonl`.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFile`], which lists the files that the folder has, or [`DataError::Io`].
    pub fn open(benchmark: &'static Benchmark, folder: &Path, split: Split) -> Result<Self, DataError> {
        let path = folder.join(format!("{split}.jsonl"));
        let file = File::open(&path).map_err(|source| cannot_open(&path, source))?;
        Ok(Self { benchmark, lines: BufReader::new(file), path, line: 0, bytes: Vec::new(), skipped: 0 })
    }

    /// How many rows were left out so far because their question is about an image.
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Reads the next line; `false` at the end of the file.
    fn advance(&mut self) -> Result<bool, DataError> {
        self.bytes.clear();
        self.line += 1;
        let read = self.lines.read_until(b'\n', &mut self.bytes);
        read.map(|n| n > 0).map_err(|source| DataError::Io { path: self.path.clone(), source })
    }

    /// The item of the current line; `None` if the line is blank or its row is left out.
    fn item(&mut self) -> Result<Option<Item>, DataError> {
        let (path, line) = (|| self.path.clone(), self.line);
        let text = std::str::from_utf8(&self.bytes).map_err(|e| DataError::InvalidUtf8 {
            path: path(),
            line,
            byte: e.valid_up_to() + 1,
        })?;
        // A byte-order mark is no part of the JSON, but some editors put one at the start of a file.
        let text = if line == 1 { text.trim_start_matches('\u{feff}') } else { text };
        if text.trim().is_empty() {
            return Ok(None);
        }
        let fields = parse_object(text, path, line)?;
        let question = (self.benchmark.question)(&Row::new(&fields)).map_err(|problem| DataError::Row {
            path: path(),
            line,
            problem,
        })?;
        self.skipped += usize::from(question.is_none());
        Ok(question.map(|question| question.into_item(line)))
    }
}

impl Iterator for SplitReader {
    type Item = Result<Item, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
            if let Some(item) = self.item().transpose() {
                return Some(item);
            }
        }
    }
}

/// Parses one JSON object whose text starts at line `line` of the file.
pub(crate) fn parse_object(
    text: &str,
    path: impl FnOnce() -> PathBuf,
    line: usize,
) -> Result<Map<String, Value>, DataError> {
    serde_json::from_str(text).map_err(|error| {
        // The parser counts lines within `text`; its own " at line 1 column 2" would contradict ours.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        let line = line + error.line().saturating_sub(1);
        DataError::InvalidJson { path: path(), line, column: error.column(), message }
    })
}

/// The error of a file that could not be opened: what is in its folder, if the file is not.
pub(crate) fn cannot_open(path: &Path, source: std::io::Error) -> DataError {
    if source.kind() != std::io::ErrorKind::NotFound {
        return DataError::Io { path: path.into(), source };
    }
    let names = path.parent().and_then(|folder| std::fs::read_dir(folder).ok()).map(|entries| {
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    });
    DataError::MissingFile { path: path.into(), present: names }
}
