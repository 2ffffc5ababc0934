//! The errors of a row's field and of a table's first line.

use serde_json::Value;

use crate::text::ShapeError;

/// A field of a row that is not as its benchmark expects.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// The row does not have the field.
    #[error("field `{field}` is missing; the row has: {}", .present.join(", "))]
    MissingField {
        /// The field, as in `choices.label`.
        field: String,
        /// The fields of the row.
        present: Vec<String>,
    },
    /// The field has a value of another type, or one that contradicts another field.
    #[error("field `{field}`: expected {expected}, found {found}")]
    Unexpected {
        /// The field, as in `choices.label[2]`.
        field: String,
        /// The expected value.
        expected: String,
        /// The value that was found.
        found: String,
    },
    /// The label is not that of a choice.
    #[error("field `{field}`: expected a label among {expected}, found {found}")]
    LabelOutOfRange {
        /// The field.
        field: String,
        /// The possible labels.
        expected: String,
        /// The label that was found.
        found: String,
    },
    /// The row is not of the shape of text data that is expected.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// What is wrong with the first line of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A quote is misplaced.
    #[error("a quote stands outside of quotes")]
    StrayQuote,
    /// The line is not UTF-8.
    #[error("expected UTF-8")]
    InvalidUtf8,
    /// Two columns have the same name.
    #[error("expected a name for each column, found {0:?} twice")]
    SameName(String),
    /// The line is one cell with another separator in it.
    #[error("its columns seem to be separated by {found:?}, expected {expected:?}")]
    Separator {
        /// The other separator.
        found: char,
        /// The separator of such files.
        expected: char,
    },
}

impl RowError {
    /// The field that the error is about; empty if it is about several.
    pub fn field(&self) -> &str {
        match self {
            Self::MissingField { field, .. } | Self::Unexpected { field, .. } | Self::LabelOutOfRange { field, .. } => {
                field
            }
            Self::Shape(_) => "",
        }
    }

    /// This error with the path of the object that has the field.
    pub(crate) fn within(mut self, path: &str) -> Self {
        match &mut self {
            Self::MissingField { field, .. } | Self::Unexpected { field, .. } | Self::LabelOutOfRange { field, .. } => {
                *field = format!("{path}.{field}")
            }
            Self::Shape(_) => {}
        }
        self
    }
}

/// The error of a field with an unexpected value.
pub(crate) fn unexpected(field: &str, expected: impl Into<String>, found: impl ToString) -> RowError {
    RowError::Unexpected { field: field.into(), expected: expected.into(), found: found.to_string() }
}

/// The error of a field with a value of another type.
pub(crate) fn wrong_type(field: &str, expected: &str, found: &Value) -> RowError {
    unexpected(field, expected, describe(found))
}

/// The error of a label that no choice has.
pub(crate) fn out_of_range(field: &str, expected: String, found: &Value) -> RowError {
    RowError::LabelOutOfRange { field: field.into(), expected, found: describe(found) }
}

/// A value in words, short enough for an error message.
fn describe(value: &Value) -> String {
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
