//! Tables of texts: comma- and tab-separated values.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value};

use super::open::open;
use super::{MAX_ROW_BYTES, NumberedRow, SplitFile};
use crate::row::Spot;
use crate::{DataError, Place, Row};

/// The records of a file whose first line names the columns. An empty cell is null.
pub(super) struct Records {
    reader: csv::Reader<Metered>,
    columns: Vec<String>,
    path: PathBuf,
    read: Arc<AtomicUsize>,
    done: Cell<bool>,
}

/// Counts what is read for one record, and stops when it becomes too much.
struct Metered {
    inner: Box<dyn Read + Send>,
    read: Arc<AtomicUsize>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.load(Ordering::Relaxed) > MAX_ROW_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a row longer than 16 MiB; is a quote left open?"));
        }
        let n = self.inner.read(buffer)?;
        self.read.fetch_add(n, Ordering::Relaxed);
        Ok(n)
    }
}

impl Records {
    pub(super) fn open(file: &SplitFile, delimiter: u8) -> Result<Self, DataError> {
        let path = file.path.clone();
        let read = Arc::new(AtomicUsize::new(0));
        let inner = Metered { inner: open(&path, file.compression)?, read: read.clone() };
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(inner);
        let header = |message| DataError::Header { path: path.clone(), message };
        let names = reader.headers().map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(source) => DataError::Io { path: path.clone(), source },
            _ => header("expected UTF-8".into()),
        })?;
        let columns: Vec<String> =
            names.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
        let mut seen = BTreeSet::new();
        if let Some(name) = columns.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(header(format!("expected a name for each column, found {name:?} twice")));
        }
        Ok(Self { reader, columns, path, read, done: Cell::new(false) })
    }

    fn fields(&self, record: &csv::StringRecord) -> Map<String, Value> {
        let cell = |cell: &str| if cell.is_empty() { Value::Null } else { Value::from(cell) };
        self.columns.iter().cloned().zip(record.iter().map(cell)).collect()
    }

    fn error(&self, error: csv::Error, place: Place) -> DataError {
        match error.into_kind() {
            csv::ErrorKind::Utf8 { err, .. } => DataError::InvalidUtf8 { place, byte: err.valid_up_to() + 1 },
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                DataError::Columns { place, expected: expected_len, found: len }
            }
            csv::ErrorKind::Io(source) => {
                self.done.set(true);
                DataError::Io { path: self.path.clone(), source }
            }
            other => {
                self.done.set(true);
                DataError::Io { path: self.path.clone(), source: io::Error::other(format!("{other:?}")) }
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<NumberedRow, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done.get() {
            return None;
        }
        self.read.store(0, Ordering::Relaxed);
        let mut record = csv::StringRecord::new();
        let found = self.reader.read_record(&mut record);
        // Of the record, not of where the reader stands after it.
        let position = record.position().or_else(|| found.as_ref().err().and_then(csv::Error::position));
        let number = position.unwrap_or(self.reader.position()).line() as usize;
        let place = Place { path: self.path.clone(), spot: Spot::Line(number) };
        match found {
            Ok(false) => None,
            Ok(true) => Some(Ok(NumberedRow { row: Row::untyped(self.fields(&record)), number, place })),
            Err(error) => Some(Err(self.error(error, place))),
        }
    }
}
