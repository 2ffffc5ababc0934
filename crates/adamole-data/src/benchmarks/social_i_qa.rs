//! Social IQa: what people feel, want and do next (Sap et al., 2019).

use super::{Benchmark, TRAIN_AND_VALIDATION};
use crate::item::{Question, lettered};
use crate::row::{Row, RowError};

pub(super) const SOCIAL_I_QA: Benchmark = Benchmark {
    name: "social_i_qa",
    hub_id: "social_i_qa",
    hub_config: None,
    splits: TRAIN_AND_VALIDATION,
    labelled_splits: TRAIN_AND_VALIDATION,
    published_num_choices: 3,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    let (context, question) = (row.text("context")?, row.text("question")?);
    Ok(Some(Question {
        text: format!("Context: {context}\nQuestion: {question}"),
        choices: lettered([row.text("answerA")?, row.text("answerB")?, row.text("answerC")?]),
        // The labels are strings that count from 1.
        answer: row.named_label("label", &["1", "2", "3"])?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&SOCIAL_I_QA, include_str!("../../tests/format/social_i_qa.jsonl"));
    }
}
