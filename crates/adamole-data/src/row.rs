//! A row of a file: its place, and typed access to its fields.

use std::fmt;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::RowError;
use crate::error::wrong_type;

/// The fields of a row. A dot leads into a nested object: `choices.label`. A bar separates alternatives: `label|answer` is
/// `label`, or `answer` where the row has no `label`.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    fields: Map<String, Value>,
}

/// A row with its number and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberedRow {
    /// The fields.
    pub row: Row,
    /// The line in a text file, the index in Parquet or a JSON list, counted from 1. In a split of several files the numbers
    /// continue from file to file.
    pub number: usize,
    /// The place.
    pub place: Place,
}

/// The place of a row in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The place within the file.
    pub spot: Spot,
}

/// A place within a file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// A line of a text file; of a record that spans several lines, the first.
    Line(usize),
    /// An element of a JSON list.
    Element(usize),
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
            Spot::Element(number) => write!(f, "{path}: row {number}"),
            Spot::Row { group, row } => write!(f, "{path}: row group {group}, row {row}"),
        }
    }
}

/// The value at a path of names, or a list of objects and the rest of the path within each of them.
struct Found<'a, 'f> {
    /// The names up to the value.
    path: &'f str,
    value: &'a Value,
    rest: Option<&'f str>,
}

impl Row {
    /// A row of these fields.
    pub fn new(fields: Map<String, Value>) -> Self {
        Self { fields }
    }

    /// Whether the row has the field and it is not null.
    pub fn has(&self, field: &str) -> bool {
        self.find(field).is_ok_and(|found| !found.value.is_null())
    }

    /// The field as a text.
    ///
    /// # Errors
    ///
    /// [`RowError::MissingField`] or [`RowError::Unexpected`].
    pub fn text(&self, field: &str) -> Result<&str, RowError> {
        let (path, value) = self.value(field)?;
        value.as_str().ok_or_else(|| wrong_type(path, "a string", value))
    }

    /// The field as a list of texts: `choices.text` is the list `text` of the object `choices`, or the texts `text` of the list of
    /// objects `choices`.
    pub(crate) fn texts(&self, field: &str) -> Result<Vec<&str>, RowError> {
        let Found { path, value, rest } = self.find(field)?;
        let list = value.as_array().ok_or_else(|| wrong_type(path, "a list of strings", value))?;
        let texts = list.iter().enumerate().map(|(i, value)| {
            let (place, value) = match (rest, value) {
                (None, value) => (format!("{path}[{i}]"), value),
                (Some(rest), Value::Object(inner)) => {
                    let found = descend(inner, rest).and_then(Found::end);
                    let (_, value) = found.map_err(|error| error.within(&format!("{path}[{i}]")))?;
                    (format!("{path}[{i}].{rest}"), value)
                }
                (Some(_), value) => return Err(wrong_type(&format!("{path}[{i}]"), "an object", value)),
            };
            value.as_str().ok_or_else(|| wrong_type(&place, "a string", value))
        });
        texts.collect()
    }

    /// The field as an offset or another count.
    pub(crate) fn count(&self, field: &str) -> Result<usize, RowError> {
        let (path, value) = self.value(field)?;
        let count = integer_of(value).and_then(|integer| usize::try_from(integer).ok());
        count.ok_or_else(|| wrong_type(path, "an integer of at least 0", value))
    }

    /// The name of a field in this row: its first alternative that is not null.
    pub(crate) fn name<'f>(&self, field: &'f str) -> &'f str {
        alternatives(field).find(|name| self.has(name)).unwrap_or(field)
    }

    /// The value of a field and its name in this row.
    pub(crate) fn value<'f>(&self, field: &'f str) -> Result<(&'f str, &Value), RowError> {
        self.find(field)?.end()
    }

    /// The first alternative that is not null; if there is none, the first that the row has.
    fn find<'f>(&self, field: &'f str) -> Result<Found<'_, 'f>, RowError> {
        // A column's name may hold a bar.
        if !field.contains('|') || self.fields.contains_key(field) {
            return descend(&self.fields, field);
        }
        let found: Vec<_> = alternatives(field).map(|name| (name, descend(&self.fields, name))).collect();
        let is_there = |found: &Found<'_, '_>| !found.value.is_null();
        let best = found.iter().position(|(_, found)| found.as_ref().is_ok_and(is_there));
        let best = best.or_else(|| found.iter().position(|(_, found)| found.is_ok()));
        // The error of a path whose beginning exists says most.
        let begins = |name: &str| name.split('.').next().is_some_and(|first| self.fields.contains_key(first));
        match best.or_else(|| found.iter().position(|(name, _)| begins(name))) {
            Some(best) => {
                found.into_iter().nth(best).map_or_else(|| Err(missing(field, &self.fields)), |(_, found)| found)
            }
            None => Err(missing(field, &self.fields)),
        }
    }
}

/// The alternative names of a field.
pub(crate) fn alternatives(field: &str) -> impl Iterator<Item = &str> {
    field.split('|')
}

/// Follows the names of `path` into objects, as far as a list.
fn descend<'a, 'f>(fields: &'a Map<String, Value>, path: &'f str) -> Result<Found<'a, 'f>, RowError> {
    let (mut fields, mut rest) = (fields, path);
    loop {
        // A column's name may hold a dot.
        if let Some(value) = fields.get(rest) {
            return Ok(Found { path, value, rest: None });
        }
        let Some((inner, inner_rest)) = rest.split_once('.').and_then(|(first, rest)| Some((fields.get(first)?, rest)))
        else {
            return Err(missing(path, fields));
        };
        let outer = &path[..path.len() - inner_rest.len() - 1];
        match inner {
            Value::Object(inner) => (fields, rest) = (inner, inner_rest),
            Value::Array(_) => return Ok(Found { path: outer, value: inner, rest: Some(inner_rest) }),
            value => return Err(wrong_type(outer, "an object", value)),
        }
    }
}

impl<'a, 'f> Found<'a, 'f> {
    /// The value, unless it is within a list.
    fn end(self) -> Result<(&'f str, &'a Value), RowError> {
        match self.rest {
            None => Ok((self.path, self.value)),
            Some(_) => Err(wrong_type(self.path, "an object", self.value)),
        }
    }
}

/// The integer of a number or of the text of a number. A number without a fraction counts, as `1.0`: where one number of a column is
/// missing many programs write all of them with a fraction.
pub(crate) fn integer_of(value: &Value) -> Option<i64> {
    // Larger integers are not exact as floats.
    const EXACT: f64 = (1_u64 << 53) as f64;
    let whole = |float: f64| (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64);
    match value {
        Value::Number(number) => number.as_i64().or_else(|| whole(number.as_f64()?)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    }
}

fn missing(field: &str, fields: &Map<String, Value>) -> RowError {
    missing_among(field, fields.keys().cloned().collect())
}

/// The error of a field that is not among those that are present.
pub(crate) fn missing_among(field: &str, mut present: Vec<String>) -> RowError {
    present.sort();
    RowError::MissingField { field: field.into(), present }
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
    fn dots_lead_into_each_object_of_a_list() {
        let row = row(json!({ "q": { "c": [{ "t": "x", "u": { "v": "w" } }, { "t": 1, "u": { "v": "z" } }, "y"] } }));
        assert_eq!(
            row.texts("q.c.u.v").unwrap_err().to_string(),
            "field `q.c[2]`: expected an object, found the string \"y\""
        );
        assert_eq!(
            row.texts("q.c.t").unwrap_err().to_string(),
            "field `q.c[1].t`: expected a string, found the number 1"
        );
        assert_eq!(row.texts("q.c.z").unwrap_err().to_string(), "field `q.c[0].z` is missing; the row has: t, u");
        assert_eq!(row.text("q.c.t").unwrap_err().to_string(), "field `q.c`: expected an object, found a list");
        let two = Row::new(json!({ "c": [{ "u": { "v": "w" } }, { "u": { "v": "z" } }] }).as_object().unwrap().clone());
        assert_eq!(two.texts("c.u.v"), Ok(vec!["w", "z"]));
    }

    #[test]
    fn the_first_alternative_that_is_there_counts() {
        let row = row(json!({ "a": { "b": "x" }, "s": "t", "n": null }));
        for (field, text) in [("a.b|s", "x"), ("s.u|s", "t"), ("z|s", "t"), ("n|s", "t"), ("s|a.b", "t")] {
            assert_eq!(row.text(field), Ok(text), "{field}");
        }
        let message = |field: &str| row.text(field).unwrap_err().to_string();
        assert_eq!(message("y|z"), "field `y|z` is missing; the row has: a, n, s");
        assert_eq!(message("y|a.z"), "field `a.z` is missing; the row has: b");
        assert_eq!(message("a|z"), "field `a`: expected a string, found an object");
        assert_eq!(message("n|z"), "field `n`: expected a string, found null");
    }

    #[test]
    fn a_number_without_a_fraction_is_an_integer_however_it_is_written() {
        for value in [json!(3), json!(3.0), json!("3"), json!(" 3"), json!("3.0")] {
            let row = row(json!({ "n": value }));
            assert_eq!(row.count("n"), Ok(3), "{row:?}");
        }
        for value in
            [json!(1.5), json!("1.5"), json!("NaN"), json!("inf"), json!(""), json!("x"), json!(1e300), json!(true)]
        {
            let row = row(json!({ "n": value }));
            assert!(
                row.count("n").unwrap_err().to_string().contains("expected an integer of at least 0, found"),
                "{row:?}"
            );
        }
        let message = row(json!({ "m": -1 })).count("m").unwrap_err().to_string();
        assert_eq!(message, "field `m`: expected an integer of at least 0, found the number -1");
    }
}
