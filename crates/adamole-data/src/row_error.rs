//! What is wrong with a field of a row.

use std::fmt;

use serde_json::Value;

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

impl RowError {
    /// The field that it is about.
    pub fn field(&self) -> &str {
        match self {
            Self::MissingField { field, .. }
            | Self::WrongType { field, .. }
            | Self::LabelOutOfRange { field, .. }
            | Self::Inconsistent { field, .. } => field,
        }
    }

    /// This error, of a field of the object at `place`.
    pub(crate) fn within(self, place: &str) -> Self {
        match self {
            Self::MissingField { field, present } => Self::MissingField { field: format!("{place}.{field}"), present },
            Self::WrongType { field, expected, found } => {
                Self::WrongType { field: format!("{place}.{field}"), expected, found }
            }
            other => other,
        }
    }
}

/// The error of a field that does not fit the others.
pub(crate) fn inconsistent(field: &str, expected: impl Into<String>, found: impl fmt::Display) -> RowError {
    RowError::Inconsistent { field: field.into(), expected: expected.into(), found: found.to_string() }
}

/// The error of a field that holds something else.
pub(crate) fn wrong_type(field: &str, expected: &'static str, found: &Value) -> RowError {
    wrong_type_of(field, expected, describe(found))
}

/// The error of a field that holds something else, which is no value of a row.
pub(crate) fn wrong_type_of(field: &str, expected: &'static str, found: String) -> RowError {
    RowError::WrongType { field: field.into(), expected, found }
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
