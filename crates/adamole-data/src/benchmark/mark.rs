//! Words of a field that the prompt marks with brackets.

use serde::Deserialize;

use crate::error::unexpected;
use crate::{Row, RowError};

/// A field and the words in it that are marked.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a table with a `field` and its `characters` or `words`")]
pub(super) enum Mark {
    Characters(CharacterMark),
    Words(WordMark),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CharacterMark {
    field: String,
    characters: Characters,
}

/// The fields with the offsets of the first character of a span and of the one after its last.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Characters {
    start: String,
    end: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WordMark {
    field: String,
    words: Vec<Words>,
}

/// The fields with the index of the first word of a span and with its text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    index: String,
    text: String,
}

impl Mark {
    pub(super) fn field(&self) -> &str {
        match self {
            Self::Characters(CharacterMark { field, .. }) | Self::Words(WordMark { field, .. }) => field,
        }
    }

    /// The fields that are read beside the marked one.
    pub(super) fn places(&self) -> Vec<&str> {
        match self {
            Self::Characters(CharacterMark { characters, .. }) => vec![&characters.start, &characters.end],
            Self::Words(WordMark { words, .. }) => words.iter().flat_map(|w| [w.index.as_str(), &w.text]).collect(),
        }
    }

    /// The text of the field with `<` and `>` around the marked words.
    pub(super) fn apply(&self, row: &Row) -> Result<String, RowError> {
        match self {
            Self::Characters(CharacterMark { field, characters }) => {
                mark_characters(row, field, &characters.start, &characters.end)
            }
            Self::Words(WordMark { field, words }) => mark_words(row, field, words),
        }
    }
}

/// Offsets count code points, not bytes.
fn mark_characters(row: &Row, field: &str, start: &str, end: &str) -> Result<String, RowError> {
    let (text, from, to) = (row.text(field)?, row.count(start)?, row.count(end)?);
    let length = text.chars().count();
    if from >= to || to > length {
        return Err(unexpected(end, format!("an offset after {from} and at most {length}"), to));
    }
    let byte = |offset| text.char_indices().nth(offset).map_or(text.len(), |(byte, _)| byte);
    let (from, to) = (byte(from), byte(to));
    Ok(format!("{}<{}>{}", &text[..from], &text[from..to], &text[to..]))
}

/// The text with all spans in brackets and its words separated by single spaces. Indices count words.
///
/// The text of a span replaces whole words with their punctuation, as in the reference implementation for WSC. Spans may come in
/// any order.
fn mark_words(row: &Row, field: &str, spans: &[Words]) -> Result<String, RowError> {
    let words: Vec<&str> = row.text(field)?.split_whitespace().collect();
    let place = |span: &Words| {
        let (start, text) = (row.count(&span.index)?, row.text(&span.text)?);
        let end = start.saturating_add(text.split_whitespace().count());
        match end <= words.len() && start < end {
            true => Ok((start, end, format!("<{text}>"))),
            false => Err(unexpected(&span.index, format!("a place of {text:?} among {} words", words.len()), start)),
        }
    };
    let mut spans = spans.iter().map(place).collect::<Result<Vec<_>, _>>()?;
    spans.sort_by_key(|(start, ..)| *start);
    let (mut marked, mut done) = (Vec::new(), 0);
    for (start, end, text) in &spans {
        // There is nothing between spans of which one contains the other, as in "their mothers" and "their".
        marked.extend(words.get(done..*start).unwrap_or_default());
        marked.push(text.as_str());
        done = *end;
    }
    marked.extend(&words[done..]);
    Ok(marked.join(" "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn row(value: Value) -> Row {
        Row::new(value.as_object().unwrap().clone())
    }

    #[test]
    fn offsets_count_code_points() {
        let row = row(json!({ "s": "Żółć – a word", "from": 9, "to": 13 }));
        assert_eq!(mark_characters(&row, "s", "from", "to").unwrap(), "Żółć – a <word>");
        let problem = mark_characters(&row, "s", "to", "from").unwrap_err();
        assert_eq!(problem.to_string(), "field `from`: expected an offset after 13 and at most 13, found 9");
    }

    fn mark(first: usize, second: usize) -> Result<String, String> {
        let row = row(json!({
            "text": "When she was  ready, the old painter left.", "span1_index": first, "span1_text": "the old painter",
            "span2_index": second, "span2_text": "she",
        }));
        let words = |n| Words { index: format!("span{n}_index"), text: format!("span{n}_text") };
        mark_words(&row, "text", &[words(1), words(2)]).map_err(|error| error.to_string())
    }

    #[test]
    fn spans_come_in_either_order() {
        assert_eq!(mark(4, 1).unwrap(), "When <she> was ready, <the old painter> left.");
    }

    #[test]
    fn spans_within_each_other_are_marked_as_published() {
        assert_eq!(mark(4, 4).unwrap(), "When she was ready, <the old painter> <she> old painter left.");
    }

    #[test]
    fn spans_outside_the_text_are_refused() {
        assert!(mark(6, 1).unwrap_err().contains("field `span1_index`"));
        assert!(mark(usize::MAX >> 1, 1).unwrap_err().contains("field `span1_index`"));
    }
}
