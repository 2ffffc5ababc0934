//! The shapes of text data, told by their fields.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

use super::fields::{Fields, TextFields};
use crate::error::{DataError, unknown_name};
use crate::json::Json;
use crate::{Place, RowError};

/// The shape of a row of text data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, VariantNames)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", parse_err_ty = DataError, parse_err_fn = unknown_name::<Self>)]
pub enum TextShape {
    /// A conversation: `messages`, perhaps with `tools`.
    Conversation,
    /// Two texts: `prompt` and `completion`.
    Completion,
    /// Two lists of messages: `prompt` and `completion`, perhaps with `tools`.
    ConversationalCompletion,
    /// A text: `text`.
    Text,
    /// A conversation as ShareGPT has it: `conversations` of `from` and `value`, perhaps with `system` and `tools`.
    #[serde(rename = "sharegpt")]
    #[strum(serialize = "sharegpt")]
    ShareGpt,
    /// An instruction as Alpaca has it: `instruction` and `output`, perhaps with `input`, `system` and `history`.
    Alpaca,
}

/// A shape with the fields that a row of it has, and those that it may have.
struct Declaration {
    shape: TextShape,
    required: &'static [&'static str],
    optional: &'static [&'static str],
}

/// Every shape. A row of [`TextShape::ConversationalCompletion`] has the fields of [`TextShape::Completion`]; the type of its
/// prompt tells the two apart.
const SHAPES: [Declaration; 6] = [
    Declaration { shape: TextShape::Conversation, required: &["messages"], optional: &["tools"] },
    Declaration { shape: TextShape::Completion, required: &["prompt", "completion"], optional: &[] },
    Declaration {
        shape: TextShape::ConversationalCompletion,
        required: &["prompt", "completion"],
        optional: &["tools"],
    },
    Declaration { shape: TextShape::Text, required: &["text"], optional: &[] },
    Declaration { shape: TextShape::ShareGpt, required: &["conversations"], optional: &["system", "tools"] },
    Declaration {
        shape: TextShape::Alpaca,
        required: &["instruction", "output"],
        optional: &["input", "system", "history"],
    },
];

/// A row whose fields are not those of the shape that is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// The row has the fields of no shape.
    #[error("the row has the fields of no shape of text data: expected {expected}; the row has: {}", .present.join(", "))]
    Unknown {
        /// The fields of each shape.
        expected: String,
        /// The fields of the row.
        present: Vec<String>,
    },
    /// The row has the fields of two shapes.
    #[error("the row has the fields of two shapes, {} ({fields}) and {} ({other_fields}), and none is set", .shapes[0], .shapes[1])]
    Ambiguous {
        /// The shapes.
        shapes: [TextShape; 2],
        /// The fields of the first.
        fields: String,
        /// The fields of the second.
        other_fields: String,
    },
    /// The row is of another shape than the first row.
    #[error("the shape of the row is {found}, that of the first row ({first}) is {expected}")]
    Different {
        /// The shape of the row.
        found: TextShape,
        /// The shape of the first row.
        expected: TextShape,
        /// The first row.
        first: Place,
    },
}

impl TextShape {
    fn declaration(self) -> &'static Declaration {
        SHAPES.iter().find(|declared| declared.shape == self).unwrap_or(&SHAPES[0])
    }

    /// The fields that rows of this shape have.
    pub fn required_fields(self) -> &'static [&'static str] {
        self.declaration().required
    }

    /// The fields that rows of this shape may have.
    pub fn optional_fields(self) -> &'static [&'static str] {
        self.declaration().optional
    }

    /// The fields that are read of rows of this shape.
    pub(super) fn fields(self) -> impl Iterator<Item = &'static str> {
        let Declaration { required, optional, .. } = self.declaration();
        required.iter().chain(*optional).copied()
    }

    /// The shapes that a row of this shape is told apart from by the types of its fields alone.
    pub(super) fn alike(self) -> impl Iterator<Item = Self> {
        SHAPES.iter().filter(move |other| other.required == self.required_fields()).map(|declared| declared.shape)
    }

    /// The shape of a row: the one that is set, or the one whose fields it has.
    pub(super) fn of(row: &Fields<'_>) -> Result<Self, RowError> {
        let shape = match row.names().shape {
            Some(shape) => shape,
            None => Self::detect(row)?,
        };
        let is_list = matches!(row.value("prompt"), Some(Json::List(_)));
        Ok(match shape {
            Self::Completion if is_list => Self::ConversationalCompletion,
            shape => shape,
        })
    }

    fn detect(row: &Fields<'_>) -> Result<Self, ShapeError> {
        // Null stands for a field that other rows of a table have.
        let with = |is_there: &dyn Fn(&str) -> bool| {
            let declared = SHAPES.iter().filter(|declared| declared.shape != Self::ConversationalCompletion);
            let found = declared.filter(|declared| declared.required.iter().all(|name| is_there(name)));
            found.map(|declared| declared.shape).collect::<Vec<_>>()
        };
        let mut found = with(&|name| row.value(name).is_some());
        if found.is_empty() {
            found = with(&|name| row.has(name));
        }
        match *found {
            [shape] => Ok(shape),
            [shape, other, ..] => Err(ShapeError::Ambiguous {
                shapes: [shape, other],
                fields: shape.listed(row.names()),
                other_fields: other.listed(row.names()),
            }),
            [] => {
                let mut all: Vec<String> = SHAPES.iter().map(|declared| declared.shape.listed(row.names())).collect();
                all.dedup();
                Err(ShapeError::Unknown { expected: all.join("; or "), present: row.present() })
            }
        }
    }

    /// The required fields by the names that they have in the rows.
    fn listed(self, names: &TextFields) -> String {
        let columns = self.required_fields().iter().map(|name| format!("`{}`", names.column(name)));
        columns.collect::<Vec<_>>().join(" and ")
    }
}

/// The names of all fields of text data.
pub(super) fn all_fields() -> Vec<&'static str> {
    let mut all = Vec::new();
    for name in SHAPES.iter().flat_map(|declared| declared.shape.fields()) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}
