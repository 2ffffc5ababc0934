//! Prompt templates with places for the fields of a row.

use std::borrow::Cow;
use std::ops::Range;

use crate::RowError;

/// A parsed template: the parts of each line.
///
/// `{field}` stands for a field, `{choices}` for the lettered list of choices, `{{` and `}}` for braces. A line with `{field?}` is
/// left out if the row does not have the field.
#[derive(Debug, Clone)]
pub(super) struct Template(Vec<Vec<Part>>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Field { name: String, optional: bool },
}

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
pub(super) enum TemplateError {
    #[error("`}}` without `{{` in {0:?}; a brace of the text itself is doubled")]
    Unopened(String),
    #[error("`{{` without `}}` in {0:?}")]
    Unclosed(String),
    #[error("expected the name of a field in braces, found {{{name}}} in {line:?}")]
    Name { name: String, line: String },
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self(text.split('\n').map(parse_line).collect::<Result<_, _>>()?))
    }

    /// The fields in the template.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().filter_map(|part| match part {
            Part::Field { name, .. } => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The text with the `value` of each field, and the bytes of the field `passage` in it. `has` decides about optional lines.
    pub(super) fn fill<'a>(
        &self,
        passage: Option<&str>,
        has: impl Fn(&str) -> bool,
        value: impl Fn(&str) -> Result<Cow<'a, str>, RowError>,
    ) -> Result<(String, Option<Range<usize>>), RowError> {
        let (mut filled, mut passage_at, mut first) = (String::new(), None, true);
        for line in &self.0 {
            if line.iter().any(|part| matches!(part, Part::Field { name, optional: true } if !has(name))) {
                continue;
            }
            if !std::mem::take(&mut first) {
                filled.push('\n');
            }
            for part in line {
                match part {
                    Part::Text(text) => filled.push_str(text),
                    Part::Field { name, .. } => {
                        let start = filled.len();
                        filled.push_str(&value(name)?);
                        if passage == Some(name) {
                            passage_at = Some(start..filled.len());
                        }
                    }
                }
            }
        }
        Ok((filled, passage_at))
    }
}

fn parse_line(line: &str) -> Result<Vec<Part>, TemplateError> {
    let (mut parts, mut text, mut rest) = (Vec::new(), String::new(), line);
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            text.push_str(brace);
            rest = after;
        } else if brace == "}" {
            return Err(TemplateError::Unopened(line.into()));
        } else {
            let (name, after) = rest.split_once('}').ok_or_else(|| TemplateError::Unclosed(line.into()))?;
            let (name, optional) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
            if name.is_empty() || name.contains('{') {
                return Err(TemplateError::Name { name: name.into(), line: line.into() });
            }
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(Part::Field { name: name.into(), optional });
            rest = after;
        }
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fill(template: &str) -> Result<(String, Option<Range<usize>>), String> {
        let value = |field: &str| match field {
            "x" => Ok("X{y}".into()),
            "long" => Ok("passage".into()),
            _ => Err(RowError::MissingField { field: field.into(), present: Vec::new() }),
        };
        let template = Template::parse(template).map_err(|error| error.to_string())?;
        template.fill(Some("long"), |field| field != "none", value).map_err(|error| error.to_string())
    }

    #[test]
    fn places_are_filled() {
        assert_eq!(fill("a {x} b\n{x}{x}").unwrap().0, "a X{y} b\nX{y}X{y}");
        assert_eq!(fill("{{{x}}} {{}}").unwrap().0, "{X{y}} {}");
        assert_eq!(fill("").unwrap().0, "");
    }

    #[test]
    fn optional_lines_are_left_out_whole() {
        assert_eq!(fill("a\nb {none?}\nc").unwrap().0, "a\nc");
        assert_eq!(fill("a {none?}\nb\n").unwrap().0, "b\n");
        assert_eq!(fill("a {x?}").unwrap().0, "a X{y}");
        assert!(fill("{none}").unwrap_err().contains("field `none` is missing"));
    }

    #[test]
    fn the_passage_is_where_it_is_said_to_be() {
        let (text, passage) = fill("é {x}: {long}!").unwrap();
        assert_eq!(&text[passage.unwrap()], "passage");
        assert!(fill("{x}").unwrap().1.is_none());
    }

    #[test]
    fn wrong_braces_are_named() {
        for (template, message) in [("a } b", "`}` without `{`"), ("{x", "`{` without `}`"), ("{}", "found {}")] {
            assert!(fill(template).unwrap_err().contains(message), "{template}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_itself_with_its_braces_doubled(text in "[ -~\né]{0,40}") {
            let doubled = text.replace('{', "{{").replace('}', "}}");
            prop_assert_eq!(fill(&doubled).unwrap().0, text);
        }

        #[test]
        fn any_template_is_taken_or_refused(template in "[{}x?a\n]{0,30}") {
            let _ = fill(&template);
        }
    }
}
