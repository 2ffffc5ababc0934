//! OpenBookQA: elementary science with a fact to start from (Mihaylov et al., 2018).

use super::{ALL_SPLITS, Benchmark};
use crate::item::Question;
use crate::row::{Row, RowError};

pub(super) const OPENBOOKQA: Benchmark = Benchmark {
    name: "openbookqa",
    hub_id: "openbookqa",
    hub_config: Some("additional"),
    splits: ALL_SPLITS,
    labelled_splits: ALL_SPLITS,
    published_num_choices: 4,
    question,
};

/// The data set's other configuration, `main`, has no facts; its prompts start with the question.
fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    let fact = if row.has("fact1") { format!("Fact: {}\n", row.text("fact1")?) } else { String::new() };
    let (choices, answer) = row.labelled_choices("choices", "answerKey")?;
    Ok(Some(Question { text: format!("{fact}Question: {}", row.text("question_stem")?), choices, answer }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&OPENBOOKQA, include_str!("../../tests/format/openbookqa.jsonl"));
    }
}
