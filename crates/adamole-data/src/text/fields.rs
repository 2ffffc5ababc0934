//! The names of the fields in the rows, and the fields of one row.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::shape::{TextShape, all_fields};
use crate::files::{Needed, read_text};
use crate::json::{Json, Object};
use crate::row::missing_among;
use crate::{DataError, RowError};

/// What a TOML file says about the rows of text data: their shape, and what their fields are called.
///
/// ```toml
/// shape = "completion"
///
/// [fields]
/// prompt = "question"
/// completion = "answer"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextFields {
    /// The shape of all rows; without it, the shape that the first row has the fields of.
    pub shape: Option<TextShape>,
    /// For a field of a shape, the name that it has in the rows. Other fields have their own names.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

impl TextFields {
    /// Reads a TOML file.
    ///
    /// # Errors
    ///
    /// [`DataError::MissingFile`], [`DataError::Io`], or [`DataError::TextFields`] with the key that is not valid.
    pub fn from_file(path: &Path) -> Result<Self, DataError> {
        let parsed = Self::parse(&read_text(path)?);
        parsed.map_err(|problem| DataError::TextFields { path: path.into(), problem })
    }

    /// Parses the text of such a file. The error is a message.
    fn parse(text: &str) -> Result<Self, String> {
        let parsed: Self = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        parsed.check()?;
        Ok(parsed)
    }

    /// Checks that every name is that of a field of the shape, and that no two fields are the same column.
    pub(super) fn check(&self) -> Result<(), String> {
        let known = self.known();
        for (name, column) in &self.fields {
            if !known.contains(&name.as_str()) {
                let of = self.shape.map_or_else(|| "text data".into(), |shape| format!("the shape {shape}"));
                let likeness = |other: &str| strsim::normalized_damerau_levenshtein(name, other);
                let nearest = known.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
                let meant = nearest.filter(|nearest| likeness(nearest) > 0.6);
                let meant = meant.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
                return Err(format!("`fields.{name}`: expected a field of {of}: {}{meant}", known.join(", ")));
            }
            if let Some((other, _)) = self.fields.iter().find(|(other, found)| *other != name && *found == column) {
                return Err(format!("`fields.{name}` and `fields.{other}` are both {column:?}, expected two names"));
            }
        }
        Ok(())
    }

    /// The fields that may be read.
    fn known(&self) -> Vec<&'static str> {
        let Some(shape) = self.shape else { return all_fields() };
        let mut known: Vec<&str> = shape.alike().flat_map(TextShape::fields).collect();
        known.dedup();
        known
    }

    /// The name that a field has in the rows.
    pub(super) fn column<'a>(&'a self, field: &'a str) -> &'a str {
        self.fields.get(field).map_or(field, String::as_str)
    }

    /// The columns that are read.
    pub(super) fn needed(&self) -> Needed {
        let fields = self.known().into_iter().map(|name| self.column(name).to_owned()).collect();
        Needed { fields, presence: Vec::new(), omits_nulls: true }
    }
}

/// The fields of one row, by the names of the shapes.
pub(super) struct Fields<'a> {
    row: &'a Object,
    names: &'a TextFields,
}

impl<'a> Fields<'a> {
    pub(super) fn new(row: &'a Object, names: &'a TextFields) -> Self {
        Self { row, names }
    }

    pub(super) fn names(&self) -> &'a TextFields {
        self.names
    }

    /// The name of a field in the row.
    pub(super) fn column(&self, field: &'a str) -> &'a str {
        self.names.column(field)
    }

    /// The value of a field, unless it is null.
    pub(super) fn value(&self, field: &str) -> Option<&'a Json> {
        self.row.get(self.names.column(field)).filter(|value| !value.is_null())
    }

    /// Whether the row has the field, perhaps as null.
    pub(super) fn has(&self, field: &str) -> bool {
        self.row.contains_key(self.names.column(field))
    }

    /// The names of the row's fields, sorted.
    pub(super) fn present(&self) -> Vec<String> {
        let mut present: Vec<String> = self.row.keys().cloned().collect();
        present.sort();
        present
    }

    /// The value of a field that the shape requires; null where the row says so.
    pub(super) fn required(&self, field: &'a str) -> Result<&'a Json, RowError> {
        let column = self.column(field);
        self.row.get(column).ok_or_else(|| missing_among(column, self.present()))
    }

    /// A required text; null is an empty one.
    pub(super) fn text(&self, field: &'a str) -> Result<&'a str, RowError> {
        self.text_of(field, self.required(field)?)
    }

    /// An optional text; null and its absence are an empty one.
    pub(super) fn optional_text(&self, field: &'a str) -> Result<&'a str, RowError> {
        self.value(field).map_or(Ok(""), |value| self.text_of(field, value))
    }

    fn text_of(&self, field: &'a str, value: &'a Json) -> Result<&'a str, RowError> {
        match value {
            Json::Null => Ok(""),
            value => value.as_str().ok_or_else(|| value.unexpected(self.column(field), "a string")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_shape_and_fields() {
        let parsed = TextFields::parse("shape = 'completion'\n[fields]\nprompt = 'question'").unwrap();
        assert_eq!((parsed.shape, parsed.column("prompt")), (Some(TextShape::Completion), "question"));
        assert_eq!(parsed.column("completion"), "completion");
        assert_eq!(TextFields::parse("shape = 'sharegpt'").unwrap().shape, Some(TextShape::ShareGpt));
        assert_eq!(TextFields::parse("").unwrap(), TextFields::default());
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        for (text, reason) in [
            ("shape = 'poem'", "unknown variant `poem`, expected one of `conversation`"),
            ("field = 3", "unknown field `field`"),
            ("[fields]\nprmpt = 'q'", "`fields.prmpt`: expected a field of text data: messages, tools, prompt"),
            ("shape = 'text'\n[fields]\nprompt = 'q'", "`fields.prompt`: expected a field of the shape text: text"),
            (
                "[fields]\nprompt = 'q'\ncompletion = 'q'",
                "`fields.completion` and `fields.prompt` are both \"q\", expected two names",
            ),
        ] {
            let found = TextFields::parse(text).unwrap_err();
            assert!(found.contains(reason), "{text}: {found}");
        }
    }
}
