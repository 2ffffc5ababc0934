//! ScienceQA: school questions; only those without an image (Lu et al., 2022).

use super::{ALL_SPLITS, Benchmark};
use crate::item::{Question, lettered};
use crate::row::{Row, RowError};

pub(super) const SCIENCEQA: Benchmark = Benchmark {
    name: "scienceqa",
    hub_id: "derek-thomas/ScienceQA",
    hub_config: None,
    splits: ALL_SPLITS,
    labelled_splits: ALL_SPLITS,
    published_num_choices: 5,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    if row.has("image") {
        return Ok(None);
    }
    let choices = lettered(row.choice_texts("choices")?);
    let answer = row.class_label("answer", choices.len())?;
    Ok(Some(Question { text: format!("Question: {}", row.text("question")?), choices, answer }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&SCIENCEQA, include_str!("../../tests/format/scienceqa.jsonl"));
    }

    #[test]
    fn a_question_about_an_image_is_left_out() {
        let row = serde_json::json!({ "image": { "bytes": "", "path": null }, "question": "?" });
        assert!(question(&Row::new(row.as_object().unwrap())).unwrap().is_none());
    }
}
