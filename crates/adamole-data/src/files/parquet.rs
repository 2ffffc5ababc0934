//! Parquet, a row at a time and no column more than is needed.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::schema::types::{Type, TypePtr};
use serde_json::{Map, Value};

use super::NumberedRow;
use super::open::cannot_open;
use crate::row::Spot;
use crate::{Benchmark, DataError, Place, Row};

/// The rows of a file, page by page: the memory that it takes does not depend on the number of rows.
pub(super) struct ParquetRows {
    rows: RowIter<'static>,
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
        let file = File::open(path).map_err(|source| cannot_open(path, source))?;
        let open = || -> Result<Self, ParquetError> {
            let reader = SerializedFileReader::new(file)?;
            let groups = reader.metadata().row_groups().iter();
            let groups = groups.map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).collect();
            let projection = projection(&reader, benchmark)?;
            let rows = RowIter::from_file_into(Box::new(reader)).project(Some(projection))?;
            Ok(Self { rows, path: path.into(), groups, read: 0, done: false })
        };
        let place = || path.display().to_string();
        decode(open).map_err(|message| DataError::InvalidParquet { place: place(), message })
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
            Ok(Some(row)) => {
                let fields: Map<String, Value> =
                    row.get_column_iter().map(|(name, field)| (name.clone(), field.to_json_value())).collect();
                Some(Ok(NumberedRow { row: Row::new(fields), number: self.read, place }))
            }
            Err(message) => {
                // The columns are no longer at the same row.
                self.done = true;
                Some(Err(DataError::InvalidParquet { place: place.to_string(), message }))
            }
        }
    }
}

/// Runs the decoder, which panics on some damaged files.
fn decode<T>(decode: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(panic) => {
            let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            Err(message.or_else(|| panic.downcast_ref().cloned()).unwrap_or_else(|| "the decoder gave up".into()))
        }
    }
}

/// The part of the file's schema that `benchmark` needs.
fn projection(reader: &SerializedFileReader<File>, benchmark: &Benchmark) -> Result<Type, ParquetError> {
    let (fields, presence) = benchmark.fields();
    let schema = reader.metadata().file_metadata().schema();
    let columns = schema.get_fields();
    let needed = |name: &str| fields.iter().any(|field| field.split('.').next() == Some(name) || *field == name);
    // If a field is missing, the error message is to name those that are there.
    let all = fields.iter().any(|field| {
        let first = field.split('.').next().unwrap_or_default();
        !columns.iter().any(|column| column.name() == first || column.name() == *field)
    });
    let mut kept: Vec<TypePtr> = Vec::new();
    for column in columns {
        if presence.iter().any(|field| field == column.name()) {
            kept.push(smallest_part(reader, column)?);
        } else if all || needed(column.name()) {
            kept.push(column.clone());
        }
    }
    Type::group_type_builder(schema.name()).with_fields(kept).build()
}

/// The group with that one of its columns which takes least space.
fn smallest_part(reader: &SerializedFileReader<File>, column: &TypePtr) -> Result<TypePtr, ParquetError> {
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
