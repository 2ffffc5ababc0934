//! Tables of texts: comma-separated values (CSV) as in RFC 4180, and tab-separated values (TSV) without quotes.
//!
//! In CSV a quoted cell may hold commas, line breaks and doubled quotes. A quote anywhere else is an error here, because readers
//! that accept it join cells and rows silently. In TSV a quote is an ordinary character, and a cell holds neither tabs nor line
//! breaks.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::PathBuf;

use super::find::SplitFile;
use super::open::{Text, open_text};
use super::{FileRow, MAX_ROW_BYTES};
use crate::error::{DataError, HeaderError};
use crate::json::{Json, Object};
use crate::row::{Place, Spot};

/// The records of a file whose first line names the columns. An empty cell is null.
pub(super) struct Table {
    text: Text,
    separator: u8,
    columns: Vec<String>,
    path: PathBuf,
    /// The next line.
    line: usize,
    done: bool,
}

/// A record of the file.
struct Record {
    line: usize,
    cells: Vec<Vec<u8>>,
    /// Whether a quote is misplaced.
    stray_quote: bool,
}

/// The position of the reader within a cell.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Start,
    Plain,
    Quoted,
    /// After a quote within quotes, which ends the cell or is the first of two.
    Closing,
}

impl Table {
    pub(super) fn open(file: &SplitFile, separator: u8) -> Result<Self, DataError> {
        let (text, _) = open_text(&file.path, file.compression)?;
        let mut table = Self { text, separator, columns: Vec::new(), path: file.path.clone(), line: 1, done: false };
        let Some(record) = table.record()? else { return Ok(table) };
        let header = |problem| DataError::Header { path: file.path.clone(), problem };
        if record.stray_quote {
            return Err(header(HeaderError::StrayQuote));
        }
        let names: Result<Vec<String>, _> = record.cells.into_iter().map(String::from_utf8).collect();
        let names = names.map_err(|_| header(HeaderError::InvalidUtf8))?;
        table.columns = names.into_iter().map(|name| name.trim().to_owned()).collect();
        let mut seen = BTreeSet::new();
        if let Some(name) = table.columns.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(header(HeaderError::SameName(name.clone())));
        }
        if let [only] = table.columns.as_slice()
            && let Some(found) = [',', ';', '\t', '|'].into_iter().find(|other| only.contains(*other))
        {
            return Err(header(HeaderError::Separator { found, expected: char::from(separator) }));
        }
        Ok(table)
    }

    /// The next record that is not an empty line.
    fn record(&mut self) -> Result<Option<Record>, DataError> {
        let (mut record, mut state) =
            (Record { line: self.line, cells: vec![Vec::new()], stray_quote: false }, State::Start);
        let mut size = 0;
        loop {
            let Some(byte) = self.byte()? else {
                return match (state, record.cells.as_slice()) {
                    (State::Quoted, _) => Err(self.open_quote(record.line)),
                    (State::Start, [_]) => Ok(None),
                    _ => Ok(Some(record)),
                };
            };
            size += 1;
            if size > MAX_ROW_BYTES {
                return Err(self.too_long(record.line, state));
            }
            let is_quote = byte == b'"' && self.separator == b',';
            let cell = record.cells.last_mut().expect("a record has a cell from its start");
            match (state, byte) {
                (State::Quoted, _) if is_quote => state = State::Closing,
                (State::Closing, _) if is_quote => {
                    cell.push(byte);
                    state = State::Quoted;
                }
                (State::Quoted, _) => {
                    self.line += usize::from(byte == b'\n');
                    cell.push(byte);
                }
                (_, b'\n' | b'\r') => {
                    self.end_line(byte)?;
                    if state == State::Start && record.cells.len() == 1 {
                        record.line = self.line;
                        continue;
                    }
                    return Ok(Some(record));
                }
                (_, byte) if byte == self.separator => {
                    record.cells.push(Vec::new());
                    state = State::Start;
                }
                (State::Start, _) if is_quote => state = State::Quoted,
                (State::Closing, _) => {
                    record.stray_quote = true;
                    state = State::Plain;
                }
                _ => {
                    // `, "a"` looks like a quoted cell and is not one.
                    record.stray_quote |= is_quote && cell.iter().all(|&byte| byte == b' ');
                    cell.push(byte);
                    state = State::Plain;
                }
            }
        }
    }

    fn byte(&mut self) -> Result<Option<u8>, DataError> {
        let byte = match self.text.fill_buf() {
            Ok(buffer) => buffer.first().copied(),
            Err(source) => {
                self.done = true;
                return Err(DataError::Io { path: self.path.clone(), source });
            }
        };
        self.text.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Skips the rest of a line break that starts with `byte`.
    fn end_line(&mut self, byte: u8) -> Result<(), DataError> {
        self.line += 1;
        if byte == b'\r' && self.text.fill_buf().is_ok_and(|buffer| buffer.first() == Some(&b'\n')) {
            self.byte()?;
        }
        Ok(())
    }

    fn open_quote(&mut self, line: usize) -> DataError {
        self.done = true;
        DataError::OpenQuote(self.place(line))
    }

    /// The error of a record that takes too much memory. The rest of its line is skipped where its end can be told.
    fn too_long(&mut self, line: usize, state: State) -> DataError {
        if state == State::Quoted {
            return self.open_quote(line);
        }
        self.line += 1;
        match self.text.skip_until(b'\n') {
            Ok(_) => DataError::LongRow(self.place(line)),
            Err(source) => {
                self.done = true;
                DataError::Io { path: self.path.clone(), source }
            }
        }
    }

    fn place(&self, line: usize) -> Place {
        Place { path: self.path.clone(), spot: Spot::Line(line) }
    }

    fn row(&self, Record { line, cells, stray_quote }: Record) -> Result<FileRow, DataError> {
        let place = self.place(line);
        if stray_quote {
            return Err(DataError::StrayQuote(place));
        }
        let (expected, found) = (self.columns.len(), cells.len());
        if expected != found {
            return Err(DataError::Columns { place, expected, found });
        }
        let mut fields = Object::with_capacity(expected);
        for (column, cell) in self.columns.iter().zip(cells) {
            let cell = String::from_utf8(cell).map_err(|error| {
                let byte = error.utf8_error().valid_up_to() + 1;
                DataError::InvalidUtf8 { place: place.clone(), byte }
            })?;
            fields.insert(column.clone(), if cell.is_empty() { Json::Null } else { Json::String(cell) });
        }
        Ok(FileRow { fields, number: line, place })
    }
}

impl Iterator for Table {
    type Item = Result<FileRow, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let record = self.record().transpose()?;
        Some(record.and_then(|record| self.row(record)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::find::Format;
    use super::super::open::Compression;
    use super::*;
    use crate::NumberedRow;

    fn read(text: impl AsRef<[u8]>, separator: u8) -> Result<Vec<Result<Vec<String>, String>>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        std::fs::write(&path, text).unwrap();
        let file = SplitFile { path, format: Format::Separated(separator), compression: Compression::None };
        let name = |error: DataError| error.to_string().rsplit_once("/t").unwrap().1.to_owned();
        let table = Table::open(&file, separator).map_err(name)?;
        let columns = table.columns.clone();
        let cells =
            |row: NumberedRow| columns.iter().map(|name| row.row.text(name).unwrap_or_default().to_owned()).collect();
        Ok(table.map(|row| row.map(|row| cells(row.into())).map_err(name)).collect())
    }

    fn cells<const N: usize>(cells: [&str; N]) -> Result<Vec<String>, String> {
        Ok(cells.map(String::from).into())
    }

    #[test]
    fn quotes_are_characters_where_tabs_separate_the_cells() {
        let rows = read("a\tb\n\"It rained,\" said Ann\t\"\n\"x\t\"y\"\"\"\n\n\"\"\tq\r\n", b'\t').unwrap();
        let expected = [cells(["\"It rained,\" said Ann", "\""]), cells(["\"x", "\"y\"\"\""]), cells(["\"\"", "q"])];
        assert_eq!(rows, expected);
        let rows = read("a\tb\nx\ty\tz\nw\n\tv\n", b'\t').unwrap();
        let count = |line, found| Err(format!(":{line}: expected 2 cells, one for each column, found {found}"));
        assert_eq!(rows, [count(2, 3), count(3, 1), cells(["", "v"])]);
    }

    #[test]
    fn quotes_hold_commas_line_breaks_and_quotes() {
        let rows = read("\u{feff}\"a\",b\r\n\"x, \"\"y\"\"\nz\",say \"no\" twice\n\"\",1\r2,3", b',').unwrap();
        assert_eq!(rows, [cells(["x, \"y\"\nz", "say \"no\" twice"]), cells(["", "1"]), cells(["2", "3"])]);
    }

    #[test]
    fn a_quote_out_of_place_is_an_error_of_its_line() {
        let stray = |line| {
            Err(format!(
                ":{line}: a misplaced quote: a cell that holds quotes is quoted as a whole, and its quotes are doubled"
            ))
        };
        let rows = read("a,b\n\"It rained,\" said Ann,x\n1,2\n3, \"4\"\n\"x\n\"y,z\n", b',').unwrap();
        assert_eq!(rows, [stray(2), cells(["1", "2"]), stray(4), stray(5)]);
        let rows = read("a,b\n1,\"2\n3,4\n", b',').unwrap();
        assert_eq!(rows, [Err(":2: the cell's quote is never closed".into())], "rows are not glued together");
    }

    #[test]
    fn a_table_with_another_separator_is_refused() {
        for (text, separator, seems) in
            [("a;b\n1;2\n", b',', "';', expected ','"), ("a,b\n", b'\t', "',', expected '\\t'")]
        {
            let error = read(text, separator).unwrap_err();
            assert_eq!(error, format!(": the first line: its columns seem to be separated by {seems}"));
        }
        assert_eq!(read("", b',').unwrap(), []);
    }

    proptest! {
        #[test]
        fn what_a_writer_writes_is_read(rows in prop::collection::vec(prop::collection::vec("[a\",;\t\n\r é]{0,6}", 3), 0..6)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["a", "b", "c"]).unwrap();
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
            let text = writer.into_inner().unwrap();
            let expected: Vec<_> = rows.into_iter().map(Ok).collect();
            prop_assert_eq!(read(text, b',').unwrap(), expected);
        }

        #[test]
        fn any_text_ends(text in "[a\",\t\n\r]{0,40}") {
            for separator in [b',', b'\t'] {
                let _ = read(format!("a{}b\n{text}", char::from(separator)), separator);
            }
        }
    }
}
