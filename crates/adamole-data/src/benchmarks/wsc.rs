//! WSC: does a pronoun refer to this phrase (Levesque et al., 2012)? In SuperGLUE's corrected form.

use super::{ALL_SPLITS, Benchmark, TRAIN_AND_VALIDATION};
use crate::item::{Question, lettered};
use crate::row::{Row, RowError};

pub(super) const WSC: Benchmark = Benchmark {
    name: "wsc.fixed",
    hub_id: "super_glue",
    hub_config: Some("wsc.fixed"),
    splits: ALL_SPLITS,
    labelled_splits: TRAIN_AND_VALIDATION,
    published_num_choices: 2,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    Ok(Some(Question {
        text: format!(
            "Text: {}\n\
             Question: Is the pronoun in brackets referring to the correct entity as intended in the context?",
            marked(row)?
        ),
        choices: lettered(["False", "True"]),
        answer: row.class_label("label", 2)?,
    }))
}

/// The text with both spans in brackets, its words parted by single spaces. Indices count words.
///
/// A word gives way to the span's text whole, punctuation included, as published. Where the second span comes first the
/// published code repeats part of the text; here both are put in their places.
fn marked(row: &Row<'_>) -> Result<String, RowError> {
    let words: Vec<&str> = row.text("text")?.split_whitespace().collect();
    let span = |index: &'static str, text: &'static str| {
        let (start, text) = (row.count(index)?, row.text(text)?);
        let end = start.saturating_add(text.split_whitespace().count());
        match end <= words.len() && start < end {
            true => Ok((start, end, text)),
            false => Err(row.inconsistent(index, format!("a place of {text:?} among {} words", words.len()), start)),
        }
    };
    let mut spans = [span("span1_index", "span1_text")?, span("span2_index", "span2_text")?];
    spans.sort_by_key(|(start, ..)| *start);
    let [(first, first_end, one), (second, second_end, other)] = spans;
    let (one, other) = (format!("<{one}>"), format!("<{other}>"));
    let mut marked = words[..first].to_vec();
    marked.push(&one);
    // Nothing stands between spans of which one holds the other, as in "their mothers" and "their".
    marked.extend(words.get(first_end..second).unwrap_or_default());
    marked.push(&other);
    marked.extend(&words[second_end..]);
    Ok(marked.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&WSC, include_str!("../../tests/format/wsc.fixed.jsonl"));
    }

    fn mark(first: usize, second: usize) -> Result<String, String> {
        let row = serde_json::json!({
            "text": "When she was  ready, the old painter left.", "span1_index": first, "span1_text": "the old painter",
            "span2_index": second, "span2_text": "she",
        });
        marked(&Row::new(row.as_object().unwrap())).map_err(|error| error.to_string())
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
        assert!(mark(usize::MAX - 1, 1).unwrap_err().contains("field `span1_index`"));
    }
}
