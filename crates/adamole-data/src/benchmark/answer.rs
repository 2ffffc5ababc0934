//! The right choice of a row.

use serde::Deserialize;
use serde_json::Value;

use super::definition::{DefinitionError, invalid};
use super::question::Choice;
use crate::error::{out_of_range, wrong_type};
use crate::row::integer_of;
use crate::{Row, RowError};

/// How a row names the right choice.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a table with the field of the answer as `index`, `label` or `text`")]
pub(super) enum Answer {
    /// A field with the number of the choice, counted from `first`, or with one of `names`; -1, empty or null if there is no
    /// answer. Without names, true and false are the second and the first of two choices.
    Index(IndexAnswer),
    /// A field with the letter of the choice, or with one of `labels`; empty or null if there is no answer.
    Label(LabelAnswer),
    /// A field with the text of the choice; empty or null if there is no answer.
    Text(TextAnswer),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IndexAnswer {
    index: String,
    #[serde(default)]
    first: i64,
    names: Option<Vec<String>>,
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

impl Answer {
    /// The field of the answer.
    pub(super) fn field(&self) -> &str {
        match self {
            Self::Index(IndexAnswer { index, .. }) => index,
            Self::Label(LabelAnswer { label, .. }) => label,
            Self::Text(TextAnswer { text }) => text,
        }
    }

    /// Checks that the names of an [`IndexAnswer`] differ from numbers and from each other.
    pub(super) fn check(&self) -> Result<(), DefinitionError> {
        let Self::Index(IndexAnswer { names: Some(names), .. }) = self else { return Ok(()) };
        let unclear =
            |(i, name): (usize, &String)| names[..i].contains(name) || integer_of(&name.as_str().into()).is_some();
        match names.iter().enumerate().find(|name| unclear(*name)) {
            Some((_, name)) => Err(invalid("answer.names", format!("expected words that differ, found {name:?}"))),
            None => Ok(()),
        }
    }

    /// The index of the right choice; `None` if the row is not labelled.
    pub(super) fn read(&self, row: &Row, choices: &[Choice]) -> Result<Option<usize>, RowError> {
        // A missing field is an error, since its name may be misspelled.
        let (field, value) = row.value(self.field())?;
        if value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty()) {
            return Ok(None);
        }
        let names: Vec<&str> = match self {
            Self::Index(index) => return index.read(field, value, choices.len()),
            Self::Label(LabelAnswer { labels: Some(labels), .. }) => {
                labels.iter().take(choices.len()).map(String::as_str).collect()
            }
            Self::Label(_) => choices.iter().map(|choice| choice.letter.as_str()).collect(),
            Self::Text(_) => choices.iter().map(|choice| choice.text.as_str()).collect(),
        };
        match named(value, &names) {
            Some(index) => Ok(Some(index)),
            None if matches!(value, Value::Array(_) | Value::Object(_)) => Err(wrong_type(field, "a string", value)),
            None => Err(out_of_range(field, format!("{names:?}"), value)),
        }
    }
}

impl IndexAnswer {
    fn read(&self, field: &str, value: &Value, choices: usize) -> Result<Option<usize>, RowError> {
        let Self { first, names, .. } = self;
        let known: Vec<&str> = match names {
            Some(names) => names.iter().take(choices).map(String::as_str).collect(),
            None if choices == 2 && *first == 0 => BOOLEANS.into(),
            None => Vec::new(),
        };
        let last = first.saturating_add(choices as i64 - 1);
        let range = format!("{}..={last}", if *first == 0 { -1 } else { *first });
        let Some(label) = integer_of(value) else {
            return match (named(value, &known), names) {
                (Some(index), _) => Ok(Some(index)),
                (None, Some(_)) => Err(out_of_range(field, format!("{range} and {known:?}"), value)),
                (None, None) => Err(wrong_type(field, "an integer", value)),
            };
        };
        match label.checked_sub(*first).and_then(|index| usize::try_from(index).ok()) {
            Some(index) if index < choices => Ok(Some(index)),
            _ if label == -1 => Ok(None),
            _ => Err(out_of_range(field, range, value)),
        }
    }
}

/// The names of two choices that have no others. As numbers, false is 0 and true is 1.
const BOOLEANS: [&str; 2] = ["false", "true"];

/// The index of a label in `names`. A number without a fraction is compared by its digits, a truth value as `true` or `false`,
/// which some programs capitalise.
fn named(value: &Value, names: &[&str]) -> Option<usize> {
    let find = |name: &str| names.iter().position(|known| *known == name);
    let boolean = |text: &str| BOOLEANS.into_iter().find(|name| name.eq_ignore_ascii_case(text));
    match value {
        Value::String(text) => {
            let digits = || find(&integer_of(value)?.to_string());
            find(text).or_else(|| find(text.trim())).or_else(|| find(boolean(text.trim())?)).or_else(digits)
        }
        Value::Bool(truth) => find(&truth.to_string()),
        value => find(&integer_of(value)?.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::choices::lettered;
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
        for two in [json!(2.0), json!("2"), json!("2.0"), json!(" 2 ")] {
            assert_eq!((answer(from_0, two.clone()), answer(from_1, two)), (Ok(Some(2)), Ok(Some(1))));
        }
        for (no_integer, found) in
            [(json!(1.5), "1.5"), (json!("nan"), "nan"), (json!("x"), "x"), (json!(true), "true")]
        {
            let error = answer(from_0, no_integer).unwrap_err();
            assert!(error.contains("expected an integer, found") && error.contains(found), "{error}");
        }
    }

    #[test]
    fn truth_values_are_two_choices_in_their_order() {
        let read = |toml: &str, choices: &[&str], value: Value| {
            let answer: Answer = toml::from_str(toml).unwrap();
            let choices = lettered(choices.iter().copied().map(String::from));
            answer.read(&row(json!({ "f": value })), &choices).map_err(|error| error.to_string())
        };
        let two = ["No", "Yes"];
        for (yes, no) in
            [(json!(true), json!(false)), (json!("True"), json!("False")), (json!("true"), json!(" FALSE "))]
        {
            for toml in
                ["index = 'f'", "index = 'f'\nnames = ['false', 'true']", "label = 'f'\nlabels = ['false', 'true']"]
            {
                assert_eq!(
                    (read(toml, &two, yes.clone()), read(toml, &two, no.clone())),
                    (Ok(Some(1)), Ok(Some(0))),
                    "{toml}"
                );
            }
            assert!(read("index = 'f'\nfirst = 1", &two, yes.clone()).is_err());
            assert!(read("index = 'f'", &["a", "b", "c"], yes).is_err());
        }
        let rte = "index = 'f'\nnames = ['entailment', 'not_entailment']";
        assert_eq!(read(rte, &two, json!("not_entailment")), Ok(Some(1)));
        assert_eq!(read(rte, &two, json!(1.0)), Ok(Some(1)));
        // True could mean either of the two.
        let error = read(rte, &two, json!(true)).unwrap_err();
        assert!(error.ends_with("among -1..=1 and [\"entailment\", \"not_entailment\"], found true"), "{error}");
    }

    #[test]
    fn answers_by_name() {
        let labels = "label = 'f'\nlabels = ['1', '2', '3', '4']";
        assert_eq!(answer("label = 'f'", json!("B")), Ok(Some(1)));
        for three in [json!("3"), json!(3), json!(3.0), json!("3.0")] {
            assert_eq!(answer(labels, three), Ok(Some(2)));
        }
        assert_eq!(answer("text = 'f'", json!("blue")), Ok(Some(2)));
        assert_eq!(answer("label = 'f'", json!("")), Ok(None));
        assert!(answer(labels, json!("4")).unwrap_err().contains(r#"among ["1", "2", "3"], found the string "4""#));
        assert!(answer("text = 'f'", json!("pink")).unwrap_err().contains("found the string \"pink\""));
        assert!(answer("text = 'g'", json!("pink")).unwrap_err().contains("field `g` is missing; the row has: f"));
    }
}
