//! COPA: the likelier cause or effect of a premise (Roemmele et al., 2011).

use super::{ALL_SPLITS, Benchmark, TRAIN_AND_VALIDATION};
use crate::item::{Question, lettered};
use crate::row::{Row, RowError};

pub(super) const COPA: Benchmark = Benchmark {
    name: "copa",
    hub_id: "super_glue",
    hub_config: Some("copa"),
    splits: ALL_SPLITS,
    labelled_splits: TRAIN_AND_VALIDATION,
    published_num_choices: 2,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    // `question` is "cause" or "effect". The apostrophe is U+2019, as published.
    let (premise, asked_for) = (row.text("premise")?, row.text("question")?);
    Ok(Some(Question {
        text: format!("Premise: {premise}\nQuestion: What’s the {asked_for} for this?"),
        choices: lettered([row.text("choice1")?, row.text("choice2")?]),
        answer: row.class_label("label", 2)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&COPA, include_str!("../../tests/format/copa.jsonl"));
    }
}
