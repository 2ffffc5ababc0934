//! The choices of a row.

use serde::Deserialize;

use super::definition::{DefinitionError, invalid};
use super::question::Choice;
use super::template::Template;
use crate::error::unexpected;
use crate::{Row, RowError};

/// The most choices of an item, one for each letter.
pub(super) const MOST_CHOICES: usize = 26;

/// The source of the choices.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub(super) enum Choices {
    /// Texts with places for fields.
    Templates(Vec<Template>),
    /// Fields with lists.
    Lists(Lists),
}

/// A field with a list of texts, and optionally one with their letters. Both may lead into a list of objects.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lists {
    texts: String,
    labels: Option<String>,
}

/// The choices in a benchmark's file.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of texts, or a table with the fields `texts` and perhaps `labels`")]
enum Written {
    Templates(Vec<String>),
    Lists(Lists),
}

impl TryFrom<Written> for Choices {
    type Error = DefinitionError;

    fn try_from(written: Written) -> Result<Self, DefinitionError> {
        match written {
            Written::Lists(lists) => Ok(Self::Lists(lists)),
            Written::Templates(texts) if !(2..=MOST_CHOICES).contains(&texts.len()) => {
                Err(invalid("choices", format!("expected 2 to {MOST_CHOICES} choices, found {}", texts.len())))
            }
            Written::Templates(texts) => {
                let texts = texts.iter().map(|text| Template::parse(text)).collect::<Result<_, _>>();
                texts.map(Self::Templates).map_err(|error| invalid("choices", error))
            }
        }
    }
}

impl Choices {
    /// The number of choices, if it does not depend on the row.
    pub(super) fn count(&self) -> Option<usize> {
        match self {
            Self::Templates(texts) => Some(texts.len()),
            Self::Lists(_) => None,
        }
    }

    /// The fields that are read for the choices.
    pub(super) fn fields(&self) -> Vec<&str> {
        match self {
            Self::Templates(texts) => texts.iter().flat_map(Template::fields).collect(),
            Self::Lists(Lists { texts, labels }) => labels.iter().chain([texts]).map(String::as_str).collect(),
        }
    }

    pub(super) fn read(&self, row: &Row) -> Result<Vec<Choice>, RowError> {
        match self {
            Self::Templates(texts) => {
                let fill = |text: &Template| {
                    let filled = text.fill(None, |field| row.has(field), |field| Ok(row.text(field)?.into()));
                    filled.map(|(text, _)| text)
                };
                Ok(lettered(texts.iter().map(fill).collect::<Result<Vec<_>, _>>()?))
            }
            Self::Lists(Lists { texts, labels: None }) => Ok(lettered(list(row, texts)?.into_iter().map(String::from))),
            Self::Lists(Lists { texts, labels: Some(labels) }) => {
                let (letters, found) = (list(row, labels)?, list(row, texts)?);
                if letters.len() != found.len() {
                    let expected = format!("{} texts, one per label", letters.len());
                    return Err(unexpected(row.name(texts), expected, found.len()));
                }
                let choice = |(letter, text): (&str, &str)| Choice { letter: letter.into(), text: text.into() };
                Ok(letters.into_iter().zip(found).map(choice).collect())
            }
        }
    }
}

fn list<'a>(row: &'a Row, field: &str) -> Result<Vec<&'a str>, RowError> {
    let texts = row.texts(field)?;
    match (2..=MOST_CHOICES).contains(&texts.len()) {
        true => Ok(texts),
        false => Err(unexpected(row.name(field), "2 to 26 choices", texts.len())),
    }
}

/// At most 26 choices with the letters `A`, `B`, ... in order.
pub(super) fn lettered(texts: impl IntoIterator<Item = String>) -> Vec<Choice> {
    ('A'..='Z').zip(texts).map(|(letter, text)| Choice { letter: letter.into(), text }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(value: Value) -> Row {
        Row::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn choices_from_lists() {
        let choices = Choices::Lists(Lists { texts: "t".into(), labels: Some("l".into()) });
        let read = |value| choices.read(&row(value)).map_err(|error| error.to_string());
        let two = read(json!({ "t": ["x", "y"], "l": ["1", "2"] })).unwrap();
        assert_eq!((two[1].letter.as_str(), two[1].text.as_str()), ("2", "y"));
        let objects = Choices::Lists(Lists { texts: "q.c.t".into(), labels: Some("q.c.l".into()) });
        let two =
            objects.read(&row(json!({ "q": { "c": [{ "t": "x", "l": "A" }, { "l": "B", "t": "y" }] } }))).unwrap();
        assert_eq!((two[1].letter.as_str(), two[1].text.as_str()), ("B", "y"));
        let uneven = read(json!({ "t": ["x"], "l": ["1", "2"] })).unwrap_err();
        assert_eq!(uneven, "field `t`: expected 2 to 26 choices, found 1");
        let uneven = read(json!({ "t": ["x", "y", "z"], "l": ["1", "2"] })).unwrap_err();
        assert_eq!(uneven, "field `t`: expected 2 texts, one per label, found 3");
    }
}
