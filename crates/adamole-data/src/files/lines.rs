//! JSON Lines, one line at a time.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::open::Text;
use super::{MAX_ROW_BYTES, NumberedRow};
use crate::{DataError, Place, Row, Spot};

/// The objects of a file, one a line. Blank lines are passed over.
pub(super) struct Lines {
    reader: Text,
    path: PathBuf,
    line: usize,
    bytes: Vec<u8>,
}

impl Lines {
    pub(super) fn new(reader: Text, path: PathBuf) -> Self {
        Self { reader, path, line: 0, bytes: Vec::new() }
    }

    fn place(&self) -> Place {
        Place { path: self.path.clone(), spot: Spot::Line(self.line) }
    }

    /// Reads the next line; `false` at the end of the file.
    fn advance(&mut self) -> Result<bool, DataError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            |source| DataError::Io { path, source }
        };
        self.bytes.clear();
        self.line += 1;
        let most = MAX_ROW_BYTES as u64 + 1;
        let read = self.reader.by_ref().take(most).read_until(b'\n', &mut self.bytes).map_err(io(&self.path))?;
        if read <= MAX_ROW_BYTES {
            return Ok(read > 0);
        }
        if self.bytes.last() != Some(&b'\n') {
            self.reader.skip_until(b'\n').map_err(io(&self.path))?;
        }
        Err(DataError::LongRow { place: self.place(), most: MAX_ROW_BYTES })
    }

    /// The object of the current line; `None` if it is blank.
    fn object(&self) -> Result<Option<Map<String, Value>>, DataError> {
        let text = std::str::from_utf8(&self.bytes)
            .map_err(|error| DataError::InvalidUtf8 { place: self.place(), byte: error.valid_up_to() + 1 })?;
        match text.trim().is_empty() {
            true => Ok(None),
            false => parse_object(text, &self.path, self.line).map(Some),
        }
    }
}

impl Iterator for Lines {
    type Item = Result<NumberedRow, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
            if let Some(object) = self.object().transpose() {
                let row = |fields| NumberedRow { row: Row::new(fields), number: self.line, place: self.place() };
                return Some(object.map(row));
            }
        }
    }
}

/// Parses one JSON object whose text starts at line `line` of the file.
pub(crate) fn parse_object(text: &str, path: &Path, line: usize) -> Result<Map<String, Value>, DataError> {
    serde_json::from_str(text).map_err(|error| {
        // The parser counts lines within `text`; its own " at line 1 column 2" would contradict ours.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        let spot = Spot::Line(line + error.line().saturating_sub(1));
        DataError::InvalidJson { place: Place { path: path.into(), spot }, column: error.column(), message }
    })
}
