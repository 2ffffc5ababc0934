//! PIQA: how to reach a goal in the physical world (Bisk et al., 2020).

use super::{ALL_SPLITS, Benchmark, TRAIN_AND_VALIDATION};
use crate::item::{Question, lettered};
use crate::row::{Row, RowError};

pub(super) const PIQA: Benchmark = Benchmark {
    name: "piqa",
    hub_id: "piqa",
    hub_config: None,
    splits: ALL_SPLITS,
    labelled_splits: TRAIN_AND_VALIDATION,
    published_num_choices: 2,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    Ok(Some(Question {
        text: format!("Question: {}", row.text("goal")?),
        choices: lettered([row.text("sol1")?, row.text("sol2")?]),
        answer: row.class_label("label", 2)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&PIQA, include_str!("../../tests/format/piqa.jsonl"));
    }
}
