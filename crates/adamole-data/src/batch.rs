//! Examples side by side, ready to be made tensors.

use serde::{Deserialize, Serialize};

use crate::Example;

/// The number of columns is a multiple of this, which matrix kernels like.
const COLUMN_MULTIPLE: usize = 8;

/// Which tokens are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelScope {
    /// The answer's token alone.
    Answer,
    /// The whole text: every token but the first, the end of sequence included.
    Text,
}

/// A batch of `rows` examples in `cols` columns, padded at the right. Indices into it are flat: `row * cols + column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `[rows * cols]`.
    pub ids: Vec<u32>,
    /// Number of examples.
    pub rows: usize,
    /// Length of the longest example, rounded up to a multiple of 8.
    pub cols: usize,
    /// Tokens of each row that are not padding, `[rows]`.
    pub lengths: Vec<usize>,
    /// Flat positions whose output predicts a label, ascending.
    pub label_positions: Vec<usize>,
    /// The token each of them is to predict.
    pub label_targets: Vec<u32>,
    /// Flat position of the last token of each row's prompt, whose output scores the choices, `[rows]`.
    pub score_positions: Vec<usize>,
    /// The token that stands for each choice, row by row.
    pub choice_ids: Vec<Vec<u32>>,
    /// Index of the right choice of each row, where there is one, `[rows]`.
    pub answers: Vec<Option<usize>>,
    /// Which item each row is, `[rows]`; see [`Example::item`].
    pub items: Vec<usize>,
}

impl Batch {
    /// Puts the examples with the given indices side by side, padded with `pad_id`.
    ///
    /// Padding is never a label and never seen by the tokens before it, so `pad_id` may be any token. An unlabelled
    /// example has no label under [`LabelScope::Answer`].
    ///
    /// # Panics
    ///
    /// If an index is not below `examples.len()`.
    pub fn collate(examples: &[Example], indices: &[usize], pad_id: u32, scope: LabelScope) -> Self {
        let examples: Vec<&Example> = indices.iter().map(|&index| &examples[index]).collect();
        let rows = examples.len();
        let cols = columns(examples.iter().map(|example| example.ids.len()).max().unwrap_or(0));
        let mut ids = vec![pad_id; rows * cols];
        let (mut label_positions, mut label_targets) = (Vec::new(), Vec::new());
        for (row, example) in examples.iter().enumerate() {
            let start = row * cols;
            ids[start..start + example.ids.len()].copy_from_slice(&example.ids);
            let labels = match scope {
                LabelScope::Answer if example.answer.is_some() => example.prompt_len..example.prompt_len + 1,
                LabelScope::Answer => 0..0,
                LabelScope::Text => 1..example.ids.len(),
            };
            for label in labels {
                label_positions.push(start + label - 1);
                label_targets.push(example.ids[label]);
            }
        }
        let score_position = |(row, example): (usize, &&Example)| row * cols + example.prompt_len - 1;
        Self {
            ids,
            rows,
            cols,
            lengths: examples.iter().map(|example| example.ids.len()).collect(),
            label_positions,
            label_targets,
            score_positions: examples.iter().enumerate().map(score_position).collect(),
            choice_ids: examples.iter().map(|example| example.choice_ids.clone()).collect(),
            answers: examples.iter().map(|example| example.answer).collect(),
            items: examples.iter().map(|example| example.item).collect(),
        }
    }
}

/// The number of columns for examples of up to `length` tokens.
pub(crate) fn columns(length: usize) -> usize {
    length.next_multiple_of(COLUMN_MULTIPLE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAD: u32 = 9999;

    /// An example of `prompt` prompt tokens, labelled or not.
    fn example(item: usize, prompt: usize, answer: Option<usize>) -> Example {
        let mut ids: Vec<u32> = (0..prompt as u32).map(|i| 100 + i).collect();
        if let Some(answer) = answer {
            ids.extend([10 + answer as u32, 2]);
        }
        Example { ids, prompt_len: prompt, answer, choice_ids: vec![10, 11], truncated: false, item }
    }

    #[test]
    fn a_batch_of_two() {
        let examples = [example(0, 3, Some(1)), example(1, 4, None), example(2, 7, Some(0))];
        let batch = Batch::collate(&examples, &[2, 0], PAD, LabelScope::Answer);
        assert_eq!((batch.rows, batch.cols), (2, 16));
        assert_eq!(batch.ids[16..24], [100, 101, 102, 11, 2, PAD, PAD, PAD]);
        assert_eq!(batch.lengths, [9, 5]);
        assert_eq!(batch.label_positions, [6, 18]);
        assert_eq!(batch.label_targets, [10, 11]);
        assert_eq!(batch.score_positions, [6, 18]);
        assert_eq!(batch.answers, [Some(0), Some(1)]);
        assert_eq!(batch.items, [2, 0]);

        let text = Batch::collate(&examples, &[0], PAD, LabelScope::Text);
        assert_eq!(text.label_positions, [0, 1, 2, 3]);
        assert_eq!(text.label_targets, [101, 102, 11, 2]);

        let unlabelled = Batch::collate(&examples, &[1], PAD, LabelScope::Answer);
        assert_eq!(unlabelled.label_positions, Vec::<usize>::new());
        assert_eq!(unlabelled.score_positions, [3]);
    }

    proptest! {
        #[test]
        fn padding_is_at_the_right_and_never_a_label(
            rows in prop::collection::vec((1..60_usize, prop::option::of(0..2_usize)), 0..12),
            text: bool,
        ) {
            let examples: Vec<Example> =
                rows.iter().enumerate().map(|(i, &(prompt, answer))| example(i, prompt, answer)).collect();
            let indices: Vec<usize> = (0..examples.len()).collect();
            let scope = if text { LabelScope::Text } else { LabelScope::Answer };
            let batch = Batch::collate(&examples, &indices, PAD, scope);
            prop_assert_eq!(batch.cols % COLUMN_MULTIPLE, 0);
            for (row, example) in examples.iter().enumerate() {
                let ids = &batch.ids[row * batch.cols..(row + 1) * batch.cols];
                let (text, padding) = ids.split_at(batch.lengths[row]);
                prop_assert_eq!(text, &example.ids);
                prop_assert!(padding.iter().all(|&id| id == PAD));
            }
            for (&position, &target) in batch.label_positions.iter().zip(&batch.label_targets) {
                prop_assert_eq!(batch.ids[position + 1], target);
                prop_assert!(target != PAD);
            }
        }
    }
}
