//! RTE: does a text entail a hypothesis (Dagan et al., 2006, and its successors)?

use super::{ALL_SPLITS, Benchmark, TRAIN_AND_VALIDATION};
use crate::item::{Question, lettered};
use crate::row::{Row, RowError};

pub(super) const RTE: Benchmark = Benchmark {
    name: "rte",
    hub_id: "super_glue",
    hub_config: Some("rte"),
    splits: ALL_SPLITS,
    labelled_splits: TRAIN_AND_VALIDATION,
    published_num_choices: 2,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    let (premise, hypothesis) = (row.text("premise")?, row.text("hypothesis")?);
    Ok(Some(Question {
        text: format!(
            "Text: {premise}\nHypothesis: {hypothesis}\nQuestion: Does the text entail the hypothesis or not?"
        ),
        choices: lettered(["Entailment", "Not entailment"]),
        answer: row.class_label("label", 2)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&RTE, include_str!("../../tests/format/rte.jsonl"));
    }
}
