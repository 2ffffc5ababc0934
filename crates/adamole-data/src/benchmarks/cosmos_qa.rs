//! Cosmos QA: reading between the lines of everyday stories (Huang et al., 2019).

use super::{ALL_SPLITS, Benchmark, TRAIN_AND_VALIDATION};
use crate::item::{Question, lettered};
use crate::row::{Row, RowError};

pub(super) const COSMOS_QA: Benchmark = Benchmark {
    name: "cosmos_qa",
    hub_id: "cosmos_qa",
    hub_config: None,
    splits: ALL_SPLITS,
    labelled_splits: TRAIN_AND_VALIDATION,
    published_num_choices: 4,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    let (context, question) = (row.text("context")?, row.text("question")?);
    let answers = [row.text("answer0")?, row.text("answer1")?, row.text("answer2")?, row.text("answer3")?];
    Ok(Some(Question {
        text: format!("Context: {context}\nQuestion: {question}"),
        choices: lettered(answers),
        answer: row.class_label("label", 4)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&COSMOS_QA, include_str!("../../tests/format/cosmos_qa.jsonl"));
    }
}
