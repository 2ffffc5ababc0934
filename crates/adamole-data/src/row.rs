//! One row of a file, and typed access to its fields.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Map, Value};

/// Where a row stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub spot: Spot,
}

/// A place within a file; everything counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// A line of a text file; of a record that spans several, the first.
    Line(usize),
    /// A row of a row group of a Parquet file.
    Row {
        /// The row group.
        group: usize,
        /// The row within the group.
        row: usize,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.spot {
            Spot::Line(line) => write!(f, "{path}:{line}"),
            Spot::Row { group, row } => write!(f, "{path}: row group {group}, row {row}"),
        }
    }
}

/// A field of a row that is not as its benchmark has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The row has no such field.
    #[error("field `{field}` is missing; the row has: {}", .present.join(", "))]
    MissingField {
        /// The field, as in `choices.label`.
        field: String,
        /// The fields that are there.
        present: Vec<String>,
    },
    /// The field holds something else.
    #[error("field `{field}`: expected {expected}, found {found}")]
    WrongType {
        /// The field, as in `choices.label[2]`.
        field: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// The label names no choice.
    #[error("field `{field}`: expected a label among {expected}, found {found}")]
    LabelOutOfRange {
        /// The field.
        field: String,
        /// The labels there are.
        expected: String,
        /// The label that was found.
        found: String,
    },
    /// Two fields contradict each other.
    #[error("field `{field}`: expected {expected}, found {found}")]
    Inconsistent {
        /// The field.
        field: String,
        /// What the rest of the row asks for.
        expected: String,
        /// What it is.
        found: String,
    },
}

/// The fields of a row. A dot leads into a nested object: `choices.label`. Fields that nobody asks for are ignored.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    fields: Map<String, Value>,
    /// Whether the file knows texts only, so that a number is a text of digits.
    untyped: bool,
}

impl Row {
    /// A row whose fields have types.
    pub fn new(fields: Map<String, Value>) -> Self {
        Self { fields, untyped: false }
    }

    /// A row of a file in which everything is a text, such as CSV.
    pub(crate) fn untyped(fields: Map<String, Value>) -> Self {
        Self { fields, untyped: true }
    }

    /// Whether the field is there and not null.
    pub fn has(&self, field: &str) -> bool {
        self.value(field).is_ok_and(|value| !value.is_null())
    }

    /// A text.
    ///
    /// # Errors
    ///
    /// [`RowError::MissingField`] or [`RowError::WrongType`].
    pub fn text(&self, field: &str) -> Result<&str, RowError> {
        let value = self.value(field)?;
        value.as_str().ok_or_else(|| wrong_type(field, "a string", value))
    }

    /// A list of texts.
    ///
    /// # Errors
    ///
    /// [`RowError::MissingField`] or [`RowError::WrongType`], which names the element.
    pub fn texts(&self, field: &str) -> Result<Vec<&str>, RowError> {
        let value = self.value(field)?;
        let list = value.as_array().ok_or_else(|| wrong_type(field, "a list of strings", value))?;
        let texts = list.iter().enumerate().map(|(i, value)| match value {
            Value::String(text) => Ok(text.as_str()),
            _ => Err(wrong_type(&format!("{field}[{i}]"), "a string", value)),
        });
        texts.collect()
    }

    /// An integer.
    ///
    /// # Errors
    ///
    /// [`RowError::MissingField`] or [`RowError::WrongType`].
    pub fn integer(&self, field: &str) -> Result<i64, RowError> {
        let value = self.value(field)?;
        let from_text = || value.as_str().filter(|_| self.untyped).and_then(|text| text.trim().parse().ok());
        value.as_i64().or_else(from_text).ok_or_else(|| wrong_type(field, "an integer", value))
    }

    /// An offset or other count.
    ///
    /// # Errors
    ///
    /// [`RowError::MissingField`] or [`RowError::WrongType`].
    pub fn count(&self, field: &str) -> Result<usize, RowError> {
        let expected = "an integer of at least 0";
        let integer = self.integer(field).map_err(|error| match error {
            RowError::WrongType { field, found, .. } => RowError::WrongType { field, expected, found },
            other => other,
        })?;
        usize::try_from(integer).map_err(|_| wrong_type(field, expected, &Value::from(integer)))
    }

    fn value(&self, field: &str) -> Result<&Value, RowError> {
        let (mut fields, mut rest) = (&self.fields, field);
        loop {
            // A name with a dot may be that of a column.
            if let Some(value) = fields.get(rest) {
                return Ok(value);
            }
            let inner = rest.split_once('.').and_then(|(first, rest)| Some((fields.get(first)?, rest)));
            match inner {
                Some((Value::Object(inner), inner_rest)) => (fields, rest) = (inner, inner_rest),
                Some((value, inner_rest)) => {
                    let outer = &field[..field.len() - inner_rest.len() - 1];
                    return Err(wrong_type(outer, "an object", value));
                }
                None => {
                    let mut present: Vec<String> = fields.keys().cloned().collect();
                    present.sort();
                    return Err(RowError::MissingField { field: field.into(), present });
                }
            }
        }
    }
}

/// The error of a field that does not fit the others.
pub(crate) fn inconsistent(field: &str, expected: impl Into<String>, found: impl fmt::Display) -> RowError {
    RowError::Inconsistent { field: field.into(), expected: expected.into(), found: found.to_string() }
}

fn wrong_type(field: &str, expected: &'static str, found: &Value) -> RowError {
    RowError::WrongType { field: field.into(), expected, found: describe(found) }
}

/// A value in words, short enough for an error message.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() > 40 => {
            format!("the string {:?}...", text.chars().take(40).collect::<String>())
        }
        Value::String(text) => format!("the string {text:?}"),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        Row::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn dots_lead_into_objects() {
        let row = row(json!({ "a": { "b": { "c": "x" } }, "a.d": "y", "n": null, "s": "t" }));
        assert_eq!(row.text("a.b.c"), Ok("x"));
        assert_eq!(row.text("a.d"), Ok("y"));
        assert!(row.has("a.b") && !row.has("n") && !row.has("n.m") && !row.has("z"));
        let message = |field: &str| row.text(field).unwrap_err().to_string();
        assert_eq!(message("a.b.z"), "field `a.b.z` is missing; the row has: c");
        assert_eq!(message("a.b.c.d"), "field `a.b.c`: expected an object, found the string \"x\"");
        assert_eq!(message("s.u.v"), "field `s`: expected an object, found the string \"t\"");
        assert_eq!(message("n"), "field `n`: expected a string, found null");
    }

    #[test]
    fn digits_are_numbers_only_where_all_is_text() {
        let fields = json!({ "n": " 3", "m": "-1" });
        let typed = row(fields.clone());
        assert!(typed.integer("n").is_err());
        let untyped = Row::untyped(fields.as_object().unwrap().clone());
        assert_eq!((untyped.integer("n"), untyped.count("n")), (Ok(3), Ok(3)));
        let message = untyped.count("m").unwrap_err().to_string();
        assert_eq!(message, "field `m`: expected an integer of at least 0, found the number -1");
    }
}
