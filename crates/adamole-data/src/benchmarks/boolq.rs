//! BoolQ: a yes-or-no question about a passage (Clark et al., 2019).

use super::{ALL_SPLITS, Benchmark, TRAIN_AND_VALIDATION};
use crate::item::{Question, lettered};
use crate::row::{Row, RowError};

pub(super) const BOOLQ: Benchmark = Benchmark {
    name: "boolq",
    hub_id: "super_glue",
    hub_config: Some("boolq"),
    splits: ALL_SPLITS,
    labelled_splits: TRAIN_AND_VALIDATION,
    published_num_choices: 2,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    let (passage, question) = (row.text("passage")?, row.text("question")?);
    Ok(Some(Question {
        text: format!("Passage: {passage}\nQuestion: {question}"),
        choices: lettered(["No", "Yes"]),
        answer: row.class_label("label", 2)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&BOOLQ, include_str!("../../tests/format/boolq.jsonl"));
    }
}
