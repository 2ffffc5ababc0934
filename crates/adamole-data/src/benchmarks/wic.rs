//! WiC: is a word used in the same sense twice (Pilehvar and Camacho-Collados, 2019)?

use super::{ALL_SPLITS, Benchmark, TRAIN_AND_VALIDATION};
use crate::item::{Question, lettered};
use crate::row::{Row, RowError};

pub(super) const WIC: Benchmark = Benchmark {
    name: "wic",
    hub_id: "super_glue",
    hub_config: Some("wic"),
    splits: ALL_SPLITS,
    labelled_splits: TRAIN_AND_VALIDATION,
    published_num_choices: 2,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    let first = marked(row, "sentence1", "start1", "end1")?;
    let second = marked(row, "sentence2", "start2", "end2")?;
    Ok(Some(Question {
        text: format!(
            "Context 1: {first}\nContext 2: {second}\n\
             Question: Is the word in brackets used with the same meaning in both contexts?"
        ),
        choices: lettered(["False", "True"]),
        answer: row.class_label("label", 2)?,
    }))
}

/// The sentence with `<` and `>` around the word. Offsets count code points, not bytes.
fn marked(row: &Row<'_>, sentence: &str, start: &str, end: &str) -> Result<String, RowError> {
    let (text, from, to) = (row.text(sentence)?, row.count(start)?, row.count(end)?);
    let length = text.chars().count();
    if from >= to || to > length {
        return Err(row.inconsistent(end, format!("an offset after {from} and at most {length}"), to));
    }
    let byte = |offset| text.char_indices().nth(offset).map_or(text.len(), |(byte, _)| byte);
    let (from, to) = (byte(from), byte(to));
    Ok(format!("{}<{}>{}", &text[..from], &text[from..to], &text[to..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&WIC, include_str!("../../tests/format/wic.jsonl"));
    }

    #[test]
    fn offsets_count_code_points() {
        let row = serde_json::json!({ "s": "Żółć – a word", "from": 9, "to": 13 });
        let row = Row::new(row.as_object().unwrap());
        assert_eq!(marked(&row, "s", "from", "to").unwrap(), "Żółć – a <word>");
        let problem = marked(&row, "s", "to", "from").unwrap_err();
        assert_eq!(problem.to_string(), "field `from`: expected an offset after 13 and at most 13, found 9");
    }
}
