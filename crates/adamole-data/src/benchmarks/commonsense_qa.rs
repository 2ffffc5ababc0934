//! CommonsenseQA: everyday knowledge (Talmor et al., 2019).

use super::{ALL_SPLITS, Benchmark, TRAIN_AND_VALIDATION};
use crate::item::Question;
use crate::row::{Row, RowError};

pub(super) const COMMONSENSE_QA: Benchmark = Benchmark {
    name: "commonsense_qa",
    hub_id: "tau/commonsense_qa",
    hub_config: None,
    splits: ALL_SPLITS,
    labelled_splits: TRAIN_AND_VALIDATION,
    published_num_choices: 5,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    let (choices, answer) = row.labelled_choices("choices", "answerKey")?;
    Ok(Some(Question { text: format!("Question: {}", row.text("question")?), choices, answer }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&COMMONSENSE_QA, include_str!("../../tests/format/commonsense_qa.jsonl"));
    }
}
