//! CommitmentBank: does a text commit its speaker to a hypothesis (de Marneffe et al., 2019)?

use super::{ALL_SPLITS, Benchmark, TRAIN_AND_VALIDATION};
use crate::item::{Question, lettered};
use crate::row::{Row, RowError};

pub(super) const CB: Benchmark = Benchmark {
    name: "cb",
    hub_id: "super_glue",
    hub_config: Some("cb"),
    splits: ALL_SPLITS,
    labelled_splits: TRAIN_AND_VALIDATION,
    published_num_choices: 3,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    let (premise, hypothesis) = (row.text("premise")?, row.text("hypothesis")?);
    Ok(Some(Question {
        text: format!(
            "Text: {premise}\nHypothesis: {hypothesis}\n\
             Question: Does the text entail the hypothesis, contradict it, or is it neutral?"
        ),
        choices: lettered(["Entailment", "Contradiction", "Neutral"]),
        answer: row.class_label("label", 3)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&CB, include_str!("../../tests/format/cb.jsonl"));
    }
}
