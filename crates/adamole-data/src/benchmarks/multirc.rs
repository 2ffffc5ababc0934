//! MultiRC: is a candidate answer right, given a paragraph (Khashabi et al., 2018)?

use super::{ALL_SPLITS, Benchmark, TRAIN_AND_VALIDATION};
use crate::item::{Question, lettered};
use crate::row::{Row, RowError};

pub(super) const MULTIRC: Benchmark = Benchmark {
    name: "multirc",
    hub_id: "super_glue",
    hub_config: Some("multirc"),
    splits: ALL_SPLITS,
    labelled_splits: TRAIN_AND_VALIDATION,
    published_num_choices: 2,
    question,
};

fn question(row: &Row<'_>) -> Result<Option<Question>, RowError> {
    let (paragraph, question, candidate) = (row.text("paragraph")?, row.text("question")?, row.text("answer")?);
    Ok(Some(Question {
        text: format!("Paragraph: {paragraph}\nQuestion: {question}\nCandidate Answer: {candidate}"),
        choices: lettered(["False", "True"]),
        answer: row.class_label("label", 2)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::tests::assert_as_published;

    #[test]
    fn as_published() {
        assert_as_published(&MULTIRC, include_str!("../../tests/format/multirc.jsonl"));
    }
}
