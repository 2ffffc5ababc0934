//! Parquet, a row at a time and no column more than is needed.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::{Type, TypePtr};

use super::columns::Columns;
use super::open::open_file;
use super::pages::Pages;
use super::{Content, NumberedRow, footer};
use crate::guard::guarded;
use crate::{Benchmark, DataError, Place, Row, Spot};

/// The rows of a file, page by page: the memory that it takes does not depend on the number of rows.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
    columns: Columns,
    projection: Type,
    path: PathBuf,
    /// Rows of each row group.
    groups: Vec<usize>,
    /// Rows read so far.
    read: usize,
    done: bool,
}

impl ParquetRows {
    /// Opens a file for the fields of `benchmark`.
    ///
    /// Of a field whose presence alone counts, such as an image, one small column is read: it is null where the field
    /// is, so that no picture is ever decoded.
    pub(super) fn open(path: &Path, benchmark: &Benchmark) -> Result<Self, DataError> {
        let mut file = open_file(path)?;
        if let Some(found) = content(&file).filter(|found| *found != Content::Parquet) {
            return Err(DataError::Content { path: path.into(), expected: "a Parquet file", found });
        }
        if let Err(message) = footer::check(&mut file) {
            return Err(DataError::InvalidParquet { place: path.display().to_string(), message });
        }
        let open = || -> Result<Self, ParquetError> {
            let reader = SerializedFileReader::new(Pages::new(file)?)?;
            let columns = Columns::new(reader.metadata().file_metadata().schema(), benchmark);
            let groups = reader.metadata().row_groups().iter();
            let groups = groups.map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).collect();
            let projection = projection(&reader, &columns)?;
            let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection.clone()))?;
            Ok(Self { rows, columns, projection, path: path.into(), groups, read: 0, done: false })
        };
        decode(open).map_err(|message| DataError::InvalidParquet { place: path.display().to_string(), message })
    }

    /// The column whose part of the current row cannot be decoded.
    fn culprit(&self) -> Option<String> {
        let fails = |column: &&TypePtr| {
            let rows = || -> Result<RowIter<'static>, ParquetError> {
                let reader = SerializedFileReader::new(Pages::new(File::open(&self.path)?)?)?;
                let alone = Type::group_type_builder(self.projection.name()).with_fields(vec![TypePtr::clone(column)]);
                RowIter::from_file_into(Box::new(reader)).project(Some(alone.build()?))
            };
            decode(|| rows()?.nth(self.read - 1).transpose()).is_err()
        };
        self.projection.get_fields().iter().find(fails).map(|column| column.name().to_owned())
    }

    /// Where the row that was read last stands.
    fn spot(&self) -> Spot {
        let (mut group, mut row) = (1, self.read);
        for rows in &self.groups {
            if row <= *rows {
                break;
            }
            (group, row) = (group + 1, row - rows);
        }
        Spot::Row { group, row }
    }
}

impl Iterator for ParquetRows {
    type Item = Result<NumberedRow, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let row = decode(|| self.rows.next().transpose());
        self.read += 1;
        let place = Place { path: self.path.clone(), spot: self.spot() };
        match row {
            Ok(None) => None,
            Ok(Some(row)) => Some(match self.columns.fields(&row) {
                Ok(fields) => Ok(NumberedRow { row: Row::new(fields), number: self.read, place }),
                Err(problem) => Err(DataError::Row { place, problem }),
            }),
            Err(message) => {
                // The columns are no longer at the same row.
                self.done = true;
                let column = self.culprit().map(|name| format!("column `{name}`: ")).unwrap_or_default();
                Some(Err(DataError::InvalidParquet { place: place.to_string(), message: column + &message }))
            }
        }
    }
}

/// What the file's first bytes say that it is.
fn content(mut file: &File) -> Option<Content> {
    let mut start = Vec::new();
    file.take(64).read_to_end(&mut start).ok()?;
    file.rewind().ok()?;
    Content::of(&start)
}

/// Runs the decoder, which panics on some damaged files.
fn decode<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    let message = match guarded(decode) {
        Ok(Ok(decoded)) => return Ok(decoded),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic,
    };
    // Some messages quote all of a value's bytes.
    Err(match message.split_once(" Bytes: [") {
        Some((start, _)) => start.to_owned(),
        None => message,
    })
}

/// The part of the file's schema that is read.
fn projection(reader: &SerializedFileReader<Pages>, needed: &Columns) -> Result<Type, ParquetError> {
    let schema = reader.metadata().file_metadata().schema();
    let mut kept: Vec<TypePtr> = Vec::new();
    for column in schema.get_fields() {
        if needed.is_presence(column.name()) {
            kept.push(smallest_part(reader, column)?);
        } else if needed.needs(column.name()) {
            kept.push(column.clone());
        }
    }
    if kept.is_empty() {
        // Without a column there is no end to the rows that a damaged file may speak of.
        kept.extend(schema.get_fields().first().cloned());
    }
    Type::group_type_builder(schema.name()).with_fields(kept).build()
}

/// The group with that one of its columns which takes least space.
fn smallest_part(reader: &SerializedFileReader<Pages>, column: &TypePtr) -> Result<TypePtr, ParquetError> {
    if column.is_primitive() || column.get_basic_info().logical_type_ref().is_some() {
        return Ok(column.clone());
    }
    let size = |part: &TypePtr| {
        let groups = reader.metadata().row_groups().iter();
        let chunks = groups.flat_map(|group| group.columns());
        let of_part = chunks.filter(|chunk| {
            let path = chunk.column_path().parts();
            path.len() == 2 && path[0] == column.name() && path[1] == part.name()
        });
        of_part.map(|chunk| chunk.compressed_size()).sum::<i64>()
    };
    let primitive = column.get_fields().iter().filter(|part| part.is_primitive());
    let Some(smallest) = primitive.min_by_key(|part| size(part)) else { return Ok(column.clone()) };
    let info = column.get_basic_info();
    let group = Type::group_type_builder(column.name())
        .with_repetition(info.repetition())
        .with_fields(vec![smallest.clone()])
        .build()?;
    Ok(Arc::new(group))
}
