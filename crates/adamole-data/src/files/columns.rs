//! The columns of a Parquet file that are read, and their values as JSON.

use std::collections::BTreeSet;

use parquet::basic::{ConvertedType, LogicalType};
use parquet::data_type::ByteArray;
use parquet::record::{Field, Row as Record};
use parquet::schema::types::{Type, TypePtr};
use serde_json::{Number, Value};

use crate::error::unexpected;
use crate::json::{Json, Object};
use crate::row::alternatives;
use crate::{Benchmark, RowError};

/// Which columns are needed.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    /// Paths that are read.
    pub(crate) fields: Vec<String>,
    /// Paths of which only is read whether they are null.
    pub(crate) presence: Vec<String>,
    /// Whether a null within a list or group is left out: all structures of a column have the same fields there, so that null
    /// stands for a key that one of them does not have.
    pub(crate) omits_nulls: bool,
}

impl Needed {
    /// Those of a benchmark.
    pub(super) fn of(benchmark: &Benchmark) -> Self {
        let (fields, presence) = benchmark.fields();
        let fields = fields.into_iter().flat_map(alternatives).map(str::to_owned).collect();
        Self { fields, presence: presence.to_vec(), omits_nulls: false }
    }
}

/// Which columns are read, and how.
///
/// The path of a value consists of the names of its groups, as in `choices.text`; lists add nothing to it.
pub(super) struct Columns {
    needed: Needed,
    /// Paths of texts that hold JSON.
    json: BTreeSet<String>,
    /// Columns that are not read.
    unread: Vec<String>,
}

impl Columns {
    pub(super) fn new(schema: &Type, needed: Needed) -> Self {
        let mut columns = Self { needed, json: BTreeSet::new(), unread: Vec::new() };
        for column in schema.get_fields() {
            match columns.needs(column.name()) {
                true => note_json(column, column.name().to_owned(), &mut columns.json),
                false => columns.unread.push(column.name().to_owned()),
            }
        }
        columns
    }

    /// Whether anything is read at or below `path`.
    pub(super) fn needs(&self, path: &str) -> bool {
        let leads_to =
            |from: &str, to: &str| to.strip_prefix(from).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.needed.fields.iter().any(|field| leads_to(path, field) || leads_to(field, path))
    }

    /// Whether only the presence of a value at `path` is read.
    pub(super) fn is_presence(&self, path: &str) -> bool {
        self.needed.presence.iter().any(|presence| presence == path)
    }

    /// The fields of a row. Columns that are not read are null, so that errors can name all columns.
    pub(super) fn fields(&self, record: &Record) -> Result<Object, RowError> {
        let read = record.get_column_iter().filter(|(name, _)| self.needs(name));
        let read = read.map(|(name, field)| Ok((name.clone(), self.value(field, name)?)));
        let unread = self.unread.iter().map(|name| Ok((name.clone(), Json::Null)));
        read.chain(unread).collect()
    }

    fn value(&self, field: &Field, path: &str) -> Result<Json, RowError> {
        let finite = |float: f64| match Number::from_f64(float) {
            Some(number) => Ok(Json::Number(number)),
            None => Err(unexpected(path, "a finite number", float)),
        };
        Ok(match field {
            Field::Null => Json::Null,
            _ if self.is_presence(path) => Json::Bool(true),
            Field::Group(record) => {
                let present = record.get_column_iter().filter(|(_, field)| !self.is_omitted(field));
                let inner = present.map(|(name, field)| {
                    let path = format!("{path}.{name}");
                    Ok((name.clone(), if self.needs(&path) { self.value(field, &path)? } else { Json::Null }))
                });
                Json::Object(inner.collect::<Result<_, RowError>>()?)
            }
            Field::ListInternal(list) => {
                Json::List(list.elements().iter().map(|field| self.value(field, path)).collect::<Result<_, _>>()?)
            }
            Field::MapInternal(map) => {
                let entry = |(key, value): &(Field, Field)| {
                    let key = match self.value(key, path)? {
                        Json::String(key) => key,
                        key => key.to_string(),
                    };
                    let value = self.value(value, &format!("{path}.{key}"))?;
                    Ok((key, value))
                };
                Json::Object(map.entries().iter().map(entry).collect::<Result<_, RowError>>()?)
            }
            Field::Bytes(bytes) => self.text(utf8(bytes, path)?, path),
            Field::Str(text) => self.text(text.clone(), path),
            Field::Float16(float) => finite(f64::from(*float))?,
            Field::Float(float) => finite(f64::from(*float))?,
            Field::Double(float) => finite(*float)?,
            other => match other.to_json_value() {
                Value::Number(number) => Json::Number(number),
                Value::Bool(value) => Json::Bool(value),
                value => Json::String(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
            },
        })
    }

    /// Whether the field of a group is left out.
    fn is_omitted(&self, field: &Field) -> bool {
        self.needed.omits_nulls && matches!(field, Field::Null)
    }

    /// A text, or its JSON value where the column is declared as JSON.
    fn text(&self, text: String, path: &str) -> Json {
        let nested = self.json.contains(path) && text.trim_start().starts_with(['{', '[']);
        match nested.then(|| serde_json::from_str(&text)) {
            Some(Ok(value)) => value,
            _ => Json::String(text),
        }
    }
}

/// The text of a column of bytes, which many writers do not declare as text. Columns of fixed width pad shorter texts with
/// zeros.
fn utf8(bytes: &ByteArray, path: &str) -> Result<String, RowError> {
    let bytes = bytes.data();
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.trim_end_matches('\0').to_owned()),
        Err(error) => {
            let (length, byte) = (bytes.len(), error.valid_up_to() + 1);
            Err(unexpected(path, "a text", format!("{length} bytes that are not UTF-8 from byte {byte} on")))
        }
    }
}

/// Adds the paths of the texts at and below `path` that hold JSON.
fn note_json(column: &TypePtr, path: String, json: &mut BTreeSet<String>) {
    let info = column.get_basic_info();
    if column.is_primitive() {
        if info.converted_type() == ConvertedType::JSON || info.logical_type_ref() == Some(&LogicalType::Json) {
            json.insert(path);
        }
        return;
    }
    let is_list = info.converted_type() == ConvertedType::LIST;
    for part in column.get_fields() {
        match is_list {
            false => note_json(part, format!("{path}.{}", part.name()), json),
            // Neither the repeated group nor its element is part of the path.
            true if part.is_group() && part.get_fields().len() == 1 => {
                note_json(&part.get_fields()[0], path.clone(), json)
            }
            true => note_json(part, path.clone(), json),
        }
    }
}
