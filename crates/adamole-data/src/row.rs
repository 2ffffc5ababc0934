//! One row of a file, and the fields a benchmark takes from it.

use serde_json::{Map, Value};

use crate::item::Choice;

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

/// Typed access to the fields of a row, or of an object inside one. Fields that nobody asks for are ignored.
pub(crate) struct Row<'a> {
    fields: &'a Map<String, Value>,
    /// Where this object stands in the row, as in `choices.`; empty for the row itself.
    path: String,
}

impl<'a> Row<'a> {
    pub(crate) fn new(fields: &'a Map<String, Value>) -> Self {
        Self { fields, path: String::new() }
    }

    /// Whether the field is there and not null.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.get(field).is_some_and(|value| !value.is_null())
    }

    pub(crate) fn text(&self, field: &str) -> Result<&'a str, RowError> {
        let value = self.value(field)?;
        value.as_str().ok_or_else(|| self.wrong_type(field, "a string", value))
    }

    pub(crate) fn object(&self, field: &str) -> Result<Self, RowError> {
        let value = self.value(field)?;
        let fields = value.as_object().ok_or_else(|| self.wrong_type(field, "an object", value))?;
        Ok(Self { fields, path: format!("{}{field}.", self.path) })
    }

    /// A list of at least 2 and at most 26 strings: as many as choices can have letters.
    pub(crate) fn choice_texts(&self, field: &str) -> Result<Vec<&'a str>, RowError> {
        let value = self.value(field)?;
        let list = value.as_array().ok_or_else(|| self.wrong_type(field, "a list of strings", value))?;
        if !(2..=26).contains(&list.len()) {
            return Err(self.inconsistent(field, "2 to 26 choices", list.len()));
        }
        let text = |(i, value): (usize, &'a Value)| {
            value.as_str().ok_or_else(|| self.wrong_type(&format!("{field}[{i}]"), "a string", value))
        };
        list.iter().enumerate().map(text).collect()
    }

    /// A label in `0..classes`, or -1 for none.
    pub(crate) fn class_label(&self, field: &str, classes: usize) -> Result<Option<usize>, RowError> {
        let value = self.value(field)?;
        let label = value.as_i64().ok_or_else(|| self.wrong_type(field, "an integer", value))?;
        match usize::try_from(label) {
            Ok(label) if label < classes => Ok(Some(label)),
            Err(_) if label == -1 => Ok(None),
            _ => Err(self.label_out_of_range(field, format!("-1..={}", classes - 1), value)),
        }
    }

    /// A label that is one of `names`, or the empty string for none.
    pub(crate) fn named_label(&self, field: &str, names: &[&str]) -> Result<Option<usize>, RowError> {
        match self.text(field)? {
            "" => Ok(None),
            label => match names.iter().position(|&name| name == label) {
                Some(index) => Ok(Some(index)),
                None => Err(self.label_out_of_range(field, format!("{names:?}"), &Value::from(label))),
            },
        }
    }

    /// The choices of an object with the lists `label` and `text`, and which of them `answer` names.
    pub(crate) fn labelled_choices(
        &self,
        choices: &str,
        answer: &str,
    ) -> Result<(Vec<Choice>, Option<usize>), RowError> {
        let choices = self.object(choices)?;
        let (letters, texts) = (choices.choice_texts("label")?, choices.choice_texts("text")?);
        if texts.len() != letters.len() {
            return Err(choices.inconsistent("text", format!("{} texts, one per label", letters.len()), texts.len()));
        }
        let answer = self.named_label(answer, &letters)?;
        let choice = |(letter, text): (&str, &str)| Choice { letter: letter.into(), text: text.into() };
        Ok((letters.into_iter().zip(texts).map(choice).collect(), answer))
    }

    /// An offset or other count.
    pub(crate) fn count(&self, field: &str) -> Result<usize, RowError> {
        let value = self.value(field)?;
        let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
        count.ok_or_else(|| self.wrong_type(field, "an integer of at least 0", value))
    }

    /// The error of a field that does not fit the others.
    pub(crate) fn inconsistent(
        &self,
        field: &str,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> RowError {
        RowError::Inconsistent { field: self.name(field), expected: expected.into(), found: found.to_string() }
    }

    fn value(&self, field: &str) -> Result<&'a Value, RowError> {
        self.fields.get(field).ok_or_else(|| {
            let mut present: Vec<String> = self.fields.keys().cloned().collect();
            present.sort();
            let field = self.name(field);
            RowError::MissingField { field, present }
        })
    }

    fn name(&self, field: &str) -> String {
        format!("{}{field}", self.path)
    }

    fn wrong_type(&self, field: &str, expected: &'static str, found: &Value) -> RowError {
        RowError::WrongType { field: self.name(field), expected, found: describe(found) }
    }

    fn label_out_of_range(&self, field: &str, expected: String, found: &Value) -> RowError {
        RowError::LabelOutOfRange { field: self.name(field), expected, found: describe(found) }
    }
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
