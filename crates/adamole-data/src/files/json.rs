//! Rows as JSON: an object per line, or one list of objects.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::find::SplitFile;
use super::open::{Text, open_text};
use super::{FileRow, MAX_ROW_BYTES, Rows};
use crate::DataError;
use crate::json::{Fields, Object};
use crate::row::{Place, Spot};

/// The rows of a file whose content, whatever its name, is an object per line or one list of objects.
pub(super) fn rows(file: &SplitFile) -> Result<Rows, DataError> {
    let (text, prefix) = open_text(&file.path, file.compression)?;
    Ok(match prefix.trim_ascii_start().first() {
        Some(b'[') => Box::new(List::new(text, file.path.clone())),
        _ => Box::new(Lines { text, path: file.path.clone(), line: 0, bytes: Vec::new() }),
    })
}

/// The objects of a file with one per line. Blank lines are skipped.
struct Lines {
    text: Text,
    path: PathBuf,
    line: usize,
    bytes: Vec<u8>,
}

impl Lines {
    fn place(&self) -> Place {
        Place { path: self.path.clone(), spot: Spot::Line(self.line) }
    }

    /// Reads the next line; `false` at the end of the file.
    fn advance(&mut self) -> Result<bool, DataError> {
        let io = |source| DataError::Io { path: self.path.clone(), source };
        self.bytes.clear();
        self.line += 1;
        let most = MAX_ROW_BYTES as u64 + 1;
        let read = self.text.by_ref().take(most).read_until(b'\n', &mut self.bytes).map_err(io)?;
        if read <= MAX_ROW_BYTES {
            return Ok(read > 0);
        }
        if self.bytes.last() != Some(&b'\n') {
            self.text.skip_until(b'\n').map_err(io)?;
        }
        Err(DataError::LongRow(self.place()))
    }

    /// The object of the current line; `None` of a blank line.
    fn object(&self) -> Result<Option<Object>, DataError> {
        let text = std::str::from_utf8(&self.bytes)
            .map_err(|error| DataError::InvalidUtf8 { place: self.place(), byte: error.valid_up_to() + 1 })?;
        match text.trim().is_empty() {
            true => Ok(None),
            false => parse_object(text, &self.path, self.line).map(|Fields(fields)| Some(fields)),
        }
    }
}

impl Iterator for Lines {
    type Item = Result<FileRow, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
            if let Some(object) = self.object().transpose() {
                let row = |fields| FileRow { fields, number: self.line, place: self.place() };
                return Some(object.map(row));
            }
        }
    }
}

/// Parses one JSON object that starts at line `line` of the file.
pub(crate) fn parse_object<T: DeserializeOwned>(text: &str, path: &Path, line: usize) -> Result<T, DataError> {
    serde_json::from_str(text).map_err(|error| {
        // The parser counts lines within `text`; its own " at line 1 column 2" would contradict ours.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        let spot = Spot::Line(line + error.line().saturating_sub(1));
        DataError::InvalidJson { place: Place { path: path.into(), spot }, column: error.column(), message }
    })
}

/// The objects of a file with one list of them, one at a time.
struct List {
    text: Text,
    path: PathBuf,
    /// The number of objects so far.
    read: usize,
    line: usize,
    column: usize,
    done: bool,
}

impl List {
    fn new(text: Text, path: PathBuf) -> Self {
        Self { text, path, read: 0, line: 1, column: 0, done: false }
    }

    fn byte(&mut self) -> Result<Option<u8>, DataError> {
        let buffer = self.text.fill_buf().map_err(|source| DataError::Io { path: self.path.clone(), source })?;
        let byte = buffer.first().copied();
        self.text.consume(usize::from(byte.is_some()));
        match byte {
            Some(b'\n') => (self.line, self.column) = (self.line + 1, 0),
            Some(_) => self.column += 1,
            None => {}
        }
        Ok(byte)
    }

    fn byte_after_space(&mut self) -> Result<Option<u8>, DataError> {
        loop {
            match self.byte()? {
                Some(byte) if byte.is_ascii_whitespace() => {}
                byte => return Ok(byte),
            }
        }
    }

    fn broken(&self, expected: &'static str) -> DataError {
        let place = Place { path: self.path.clone(), spot: Spot::Line(self.line) };
        DataError::BrokenList { place, column: self.column, expected }
    }

    /// The text of the next object and its first line; `None` after the last.
    fn object(&mut self) -> Result<Option<(usize, Vec<u8>)>, DataError> {
        let first = match (self.read, self.byte_after_space()?) {
            (0, Some(b'[')) => self.byte_after_space()?,
            (0, _) => return Err(self.broken("`[`")),
            (_, Some(b',')) => match self.byte_after_space()? {
                Some(b'{') => Some(b'{'),
                _ => return Err(self.broken("an object")),
            },
            (_, Some(b']')) => Some(b']'),
            _ => return Err(self.broken("`,` or `]`")),
        };
        match first {
            Some(b'{') => self.rest_of_object().map(Some),
            Some(b']') => match self.byte_after_space()? {
                None => Ok(None),
                Some(_) => Err(self.broken("the end of the file after the list")),
            },
            _ => Err(self.broken("an object or `]`")),
        }
    }

    /// The rest of an object whose opening brace has been read.
    fn rest_of_object(&mut self) -> Result<(usize, Vec<u8>), DataError> {
        let (line, mut object, mut depth, mut quoted, mut escaped) = (self.line, vec![b'{'], 1_u32, false, false);
        while depth > 0 {
            let Some(byte) = self.byte()? else { return Err(self.broken("`}`")) };
            if object.len() == MAX_ROW_BYTES {
                return Err(self.broken("an object of at most 16 MiB"));
            }
            object.push(byte);
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'{' if !quoted => depth += 1,
                b'}' if !quoted => depth -= 1,
                _ => {}
            }
        }
        Ok((line, object))
    }
}

impl Iterator for List {
    type Item = Result<FileRow, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let (line, object) = match self.object() {
            Ok(Some(object)) => object,
            Ok(None) => {
                self.done = true;
                return None;
            }
            Err(error) => {
                self.done = true;
                return Some(Err(error));
            }
        };
        self.read += 1;
        let number = self.read;
        let place = Place { path: self.path.clone(), spot: Spot::Element(number) };
        let fields = match std::str::from_utf8(&object) {
            Ok(text) => parse_object(text, &self.path, line),
            Err(error) => Err(DataError::InvalidUtf8 { place: place.clone(), byte: error.valid_up_to() + 1 }),
        };
        Some(fields.map(|Fields(fields)| FileRow { fields, number, place }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::NumberedRow;

    fn read(text: &str) -> Vec<Result<(usize, String), String>> {
        let text = BufReader::with_capacity(3, Box::new(Cursor::new(text.to_owned().into_bytes())) as _);
        let row = |row: NumberedRow| (row.number, row.row.text("a").unwrap_or_default().to_owned());
        List::new(text, "f".into())
            .take(20)
            .map(|found| found.map(|found| row(found.into())).map_err(|error| error.to_string()))
            .collect()
    }

    #[test]
    fn objects_come_one_by_one() {
        let rows = read(" [\n{\"a\": \"]}{\\\"\", \"b\": [{}]}\n , {\"a\":\n\"y\"}]\n");
        assert_eq!(rows, [Ok((1, "]}{\"".into())), Ok((2, "y".into()))]);
        assert_eq!(read("[ ]"), []);
    }

    #[test]
    fn a_bad_object_is_passed_over_and_a_bad_list_is_not() {
        let rows = read("[{\"a\": \"x\"},\n{\"a\" 1}, {\"a\": \"z\"}]");
        assert_eq!((rows.len(), &rows[2]), (3, &Ok((3, "z".into()))));
        assert!(rows[1].as_ref().unwrap_err().starts_with("f:2:6: expected a JSON object"), "{rows:?}");
        for (text, rest) in [
            ("[1]", "f:1:2: the list of rows breaks off: expected an object or `]`"),
            ("[{}", "f:1:3: the list of rows breaks off: expected `,` or `]`"),
            ("[{},]", "expected an object"),
            ("[{}\n{}]", "f:2:1: the list of rows breaks off: expected `,` or `]`"),
            ("[{\"a\": \"}", "expected `}`"),
            ("[{}][{}]", "expected the end of the file after the list"),
            ("[", "expected an object or `]`"),
        ] {
            let rows = read(text);
            assert!(rows.last().unwrap().as_ref().unwrap_err().ends_with(rest), "{text}: {rows:?}");
        }
    }

    proptest! {
        #[test]
        fn any_list_is_read_as_it_was_written(texts in prop::collection::vec("[a{}\\[\\]\"\\\\,\n é]{0,8}", 0..6), pretty: bool) {
            let list: Value = texts.iter().map(|text| json!({ "a": text, "b": { text: [text] } })).collect();
            let text = if pretty { serde_json::to_string_pretty(&list).unwrap() } else { list.to_string() };
            let expected: Vec<_> = (1..).zip(texts).map(Ok).collect();
            prop_assert_eq!(read(&text), expected);
        }

        #[test]
        fn any_text_ends(text in "[a{}\\[\\]\"\\\\,\n:1]{0,30}") {
            let _ = read(&format!("[{text}"));
        }
    }
}
