//! Parquet, row by row, of which only the needed columns are read.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::{Type, TypePtr};

use super::columns::{Columns, Needed};
use super::open::{Content, open_file};
use super::pages::Pages;
use super::{FileRow, footer};
use crate::DataError;
use crate::guard::guarded;
use crate::row::{Place, Spot};

/// The rows of a file, page by page. The memory that it takes does not depend on the number of rows.
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
    /// Opens a file for the needed fields.
    ///
    /// Of a field of which only the presence is read, such as an image, the smallest column is read, so that no image is decoded.
    pub(super) fn open(path: &Path, needed: Needed) -> Result<Self, DataError> {
        let mut file = open_file(path)?;
        if let Some(found) = content(&file).filter(|found| *found != Content::Parquet) {
            return Err(DataError::Content { path: path.into(), expected: "a Parquet file", found });
        }
        let invalid = |error| invalid(path.display(), "", error);
        footer::check(&mut file).map_err(invalid)?;
        let open = || -> Result<Self, ParquetError> {
            let reader = SerializedFileReader::new(Pages::new(file)?)?;
            let columns = Columns::new(reader.metadata().file_metadata().schema(), needed);
            let groups = reader.metadata().row_groups().iter();
            let groups = groups.map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).collect();
            let projection = projection(&reader, &columns)?;
            let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection.clone()))?;
            Ok(Self { rows, columns, projection, path: path.into(), groups, read: 0, done: false })
        };
        decode(open).map_err(invalid)
    }

    /// The column that cannot be decoded at the current row.
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

    /// The position of the last row.
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
    type Item = Result<FileRow, DataError>;

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
                Ok(fields) => Ok(FileRow { fields, number: self.read, place }),
                Err(problem) => Err(DataError::Row { place, problem }),
            }),
            Err(error) => {
                // The columns are no longer at the same row.
                self.done = true;
                let column = self.culprit().map(|name| format!("column `{name}`: ")).unwrap_or_default();
                Some(Err(invalid(&place, &column, error)))
            }
        }
    }
}

/// The kind of the file, told by its first bytes.
fn content(mut file: &File) -> Option<Content> {
    let mut start = Vec::new();
    file.take(64).read_to_end(&mut start).ok()?;
    file.rewind().ok()?;
    Content::of(&start)
}

/// Runs the decoder, which panics on some damaged files.
fn decode<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, ParquetError> {
    guarded(decode).map_err(|panic| ParquetError::External(panic.into())).flatten()
}

/// The error of a file, or of a row and column in it. Some messages of the decoder quote all bytes of a value.
fn invalid(place: impl ToString, column: &str, error: ParquetError) -> DataError {
    let message = match error {
        ParquetError::External(panic) => panic.to_string(),
        error => error.to_string(),
    };
    let message = message.split(" Bytes: [").next().unwrap_or_default();
    DataError::InvalidParquet { place: place.to_string(), message: format!("{column}{message}") }
}

/// The part of the schema that is read.
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
        // Without a column there is no end to the rows that a damaged file declares.
        kept.extend(schema.get_fields().first().cloned());
    }
    Type::group_type_builder(schema.name()).with_fields(kept).build()
}

/// The group with only its smallest column.
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
