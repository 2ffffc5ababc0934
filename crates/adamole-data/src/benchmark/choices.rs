//! Which choices a row offers, and which of them is right.

use serde::Deserialize;

use super::template::Template;
use crate::row::{describe, inconsistent};
use crate::{Choice, Row, RowError};

/// As many as there are letters.
const MOST_CHOICES: usize = 26;

/// Where the choices come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub(super) enum Choices {
    /// Texts, which may have places for fields.
    Templates(Vec<Template>),
    /// Fields with lists.
    Lists(Lists),
}

/// A field with a list of texts, and perhaps one with their letters.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lists {
    texts: String,
    labels: Option<String>,
}

/// The choices as a benchmark's file has them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of texts, or a table with the fields `texts` and perhaps `labels`")]
enum Written {
    Templates(Vec<String>),
    Lists(Lists),
}

impl TryFrom<Written> for Choices {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Lists(lists) => Ok(Self::Lists(lists)),
            Written::Templates(texts) if !(2..=MOST_CHOICES).contains(&texts.len()) => {
                Err(format!("expected 2 to {MOST_CHOICES} choices, found {}", texts.len()))
            }
            Written::Templates(texts) => {
                texts.iter().map(|text| Template::parse(text)).collect::<Result<_, _>>().map(Self::Templates)
            }
        }
    }
}

/// Which choice is right.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a table with the field of the answer as `index`, `label` or `text`")]
pub(super) enum Answer {
    /// A field with the number of the choice, counted from `first`; -1 or null where there is none.
    Index(IndexAnswer),
    /// A field with the letter of the choice, or with one of `labels`; empty or null where there is none.
    Label(LabelAnswer),
    /// A field with the text of the choice; empty or null where there is none.
    Text(TextAnswer),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexAnswer {
    index: String,
    #[serde(default)]
    first: i64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LabelAnswer {
    label: String,
    labels: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TextAnswer {
    text: String,
}

impl Choices {
    /// How many there always are, if that does not depend on the row.
    pub(super) fn count(&self) -> Option<usize> {
        match self {
            Self::Templates(texts) => Some(texts.len()),
            Self::Lists(_) => None,
        }
    }

    /// The fields that are read for it.
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
                    filled.map(|filled| filled.text)
                };
                Ok(lettered(texts.iter().map(fill).collect::<Result<Vec<_>, _>>()?))
            }
            Self::Lists(Lists { texts, labels: None }) => Ok(lettered(list(row, texts)?.into_iter().map(String::from))),
            Self::Lists(Lists { texts, labels: Some(labels) }) => {
                let (letters, found) = (list(row, labels)?, list(row, texts)?);
                if letters.len() != found.len() {
                    let expected = format!("{} texts, one per label", letters.len());
                    return Err(inconsistent(texts, expected, found.len()));
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
        false => Err(inconsistent(field, "2 to 26 choices", texts.len())),
    }
}

/// Choices lettered `A`, `B`, ... in order, at most 26.
fn lettered(texts: impl IntoIterator<Item = String>) -> Vec<Choice> {
    ('A'..='Z').zip(texts).map(|(letter, text)| Choice { letter: letter.into(), text }).collect()
}

impl Answer {
    /// The field that is read for it.
    pub(super) fn field(&self) -> &str {
        match self {
            Self::Index(IndexAnswer { index, .. }) => index,
            Self::Label(LabelAnswer { label, .. }) => label,
            Self::Text(TextAnswer { text }) => text,
        }
    }

    /// The index of the right one of `choices`; `None` if the row is not labelled.
    pub(super) fn read(&self, row: &Row, choices: &[Choice]) -> Result<Option<usize>, RowError> {
        let field = self.field();
        let out_of_range = |expected: String, found: serde_json::Value| RowError::LabelOutOfRange {
            field: field.into(),
            expected,
            found: describe(&found),
        };
        // A field that is missing altogether is an error: it may be a misspelling.
        let named = |names: &[&str]| match row.text(field)? {
            "" => Ok(None),
            name => match names.iter().position(|known| *known == name) {
                Some(index) => Ok(Some(index)),
                None => Err(out_of_range(format!("{names:?}"), name.into())),
            },
        };
        if matches!(row.text(field), Err(RowError::WrongType { found, .. }) if found == "null") {
            return Ok(None);
        }
        match self {
            Self::Index(IndexAnswer { first, .. }) => {
                let label = row.integer(field)?;
                let index = label.checked_sub(*first).and_then(|index| usize::try_from(index).ok());
                match index {
                    Some(index) if index < choices.len() => Ok(Some(index)),
                    _ if label == -1 => Ok(None),
                    _ => {
                        let last = first.saturating_add(choices.len() as i64 - 1);
                        let from = if *first == 0 { -1 } else { *first };
                        Err(out_of_range(format!("{from}..={last}"), label.into()))
                    }
                }
            }
            Self::Label(LabelAnswer { labels: Some(labels), .. }) => {
                let names: Vec<&str> = labels.iter().take(choices.len()).map(String::as_str).collect();
                named(&names)
            }
            Self::Label(_) => named(&choices.iter().map(|choice| choice.letter.as_str()).collect::<Vec<_>>()),
            Self::Text(_) => named(&choices.iter().map(|choice| choice.text.as_str()).collect::<Vec<_>>()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(value: Value) -> Row {
        Row::new(value.as_object().unwrap().clone())
    }

    fn answer(toml: &str, value: Value) -> Result<Option<usize>, String> {
        let answer: Answer = toml::from_str(toml).unwrap();
        let choices = lettered(["red", "green", "blue"].map(String::from));
        answer.read(&row(json!({ "f": value })), &choices).map_err(|error| error.to_string())
    }

    #[test]
    fn answers_by_number() {
        let (from_0, from_1) = ("index = 'f'", "index = 'f'\nfirst = 1");
        assert_eq!(answer(from_0, json!(2)), Ok(Some(2)));
        assert_eq!(answer(from_1, json!(3)), Ok(Some(2)));
        for none in [json!(-1), json!(null)] {
            assert_eq!((answer(from_0, none.clone()), answer(from_1, none)), (Ok(None), Ok(None)));
        }
        assert!(answer(from_0, json!(3)).unwrap_err().contains("among -1..=2, found the number 3"));
        assert!(answer(from_1, json!(0)).unwrap_err().contains("among 1..=3, found the number 0"));
        assert!(answer(from_1, json!(i64::MIN)).unwrap_err().contains("among 1..=3"));
        assert!(answer(from_0, json!("2")).unwrap_err().contains("expected an integer, found the string"));
    }

    #[test]
    fn answers_by_name() {
        let labels = "label = 'f'\nlabels = ['1', '2', '3', '4']";
        assert_eq!(answer("label = 'f'", json!("B")), Ok(Some(1)));
        assert_eq!(answer(labels, json!("3")), Ok(Some(2)));
        assert_eq!(answer("text = 'f'", json!("blue")), Ok(Some(2)));
        assert_eq!(answer("label = 'f'", json!("")), Ok(None));
        assert!(answer(labels, json!("4")).unwrap_err().contains(r#"among ["1", "2", "3"], found the string "4""#));
        assert!(answer("text = 'f'", json!("pink")).unwrap_err().contains("found the string \"pink\""));
        assert!(answer("text = 'g'", json!("pink")).unwrap_err().contains("field `g` is missing; the row has: f"));
    }

    #[test]
    fn choices_from_lists() {
        let choices = Choices::Lists(Lists { texts: "t".into(), labels: Some("l".into()) });
        let read = |value| choices.read(&row(value)).map_err(|error| error.to_string());
        let two = read(json!({ "t": ["x", "y"], "l": ["1", "2"] })).unwrap();
        assert_eq!((two[1].letter.as_str(), two[1].text.as_str()), ("2", "y"));
        let uneven = read(json!({ "t": ["x"], "l": ["1", "2"] })).unwrap_err();
        assert_eq!(uneven, "field `t`: expected 2 to 26 choices, found 1");
        let uneven = read(json!({ "t": ["x", "y", "z"], "l": ["1", "2"] })).unwrap_err();
        assert_eq!(uneven, "field `t`: expected 2 texts, one per label, found 3");
    }
}
