//! ARC-Challenge: school science that resists look-up (Clark et al., 2018).

use super::{ALL_SPLITS, Benchmark};
use crate::item::Question;
use crate::row::{Row, RowError};

pub(super) const AI2_ARC: Benchmark = Benchmark {
    name: "ai2_arc",
    hub_id: "ai2_arc",
    hub_config: Some("ARC-Challenge"),
    splits: ALL_SPLITS,
    labelled_splits: ALL_SPLITS,
    published_num_choices: 4,
    question,
};

/// Items have three to five choices, and some label them 1 to 4. The published code scores every item over A to D, and
/// can never answer the latter rightly.
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
        assert_as_published(&AI2_ARC, include_str!("../../tests/format/ai2_arc.jsonl"));
    }
}
