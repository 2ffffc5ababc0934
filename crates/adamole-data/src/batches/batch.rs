//! Examples side by side, ready to be made tensors.

use serde::{Deserialize, Serialize};

use super::Buckets;
use crate::Example;
use crate::named::named;

/// Which tokens are trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelScope {
    /// The answer's token alone.
    #[default]
    Answer,
    /// The whole text, as published: every token but the first, and but the end of sequence where that is also the
    /// padding. The published code pads with it, and so never teaches a model to stop.
    Text,
}

named!(LabelScope, "label scope", { Self::Answer => "answer", Self::Text => "text" });

/// A batch of `rows` texts in `cols` columns, padded at the right. Indices into it are flat: `row * cols + column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `[rows * cols]`.
    pub ids: Vec<u32>,
    /// Number of texts.
    pub rows: usize,
    /// Length of the longest text, rounded up to a bucket.
    pub cols: usize,
    /// Tokens of each row that are not padding, `[rows]`.
    pub lengths: Vec<usize>,
    /// Flat positions whose output predicts a label, ascending; none in a batch of prompts.
    pub label_positions: Vec<usize>,
    /// The token each of them is to predict.
    pub label_targets: Vec<u32>,
}

impl Batch {
    /// Puts the training texts of the examples with the given indices side by side, padded with `pad_id`.
    ///
    /// Padding is never a label and never seen by the tokens before it. An example without an answer in its text has
    /// no label under [`LabelScope::Answer`].
    ///
    /// # Panics
    ///
    /// If an index is not below `examples.len()`.
    pub fn of_texts(
        examples: &[Example],
        indices: &[usize],
        pad_id: u32,
        scope: LabelScope,
        buckets: &Buckets,
    ) -> Self {
        let texts: Vec<&[u32]> = indices.iter().map(|&index| examples[index].text.as_slice()).collect();
        let mut batch = Self::of(&texts, pad_id, buckets);
        for (row, &index) in indices.iter().enumerate() {
            let Example { text, answer_at, .. } = &examples[index];
            let labels = match (scope, answer_at) {
                (LabelScope::Answer, Some(answer)) => *answer..*answer + 1,
                (LabelScope::Answer, None) => 0..0,
                (LabelScope::Text, _) => 1..text.len(),
            };
            for label in labels.filter(|label| text[*label] != pad_id) {
                batch.label_positions.push(row * batch.cols + label - 1);
                batch.label_targets.push(text[label]);
            }
        }
        batch
    }

    /// Puts the prompts of the examples with the given indices side by side, padded with `pad_id`.
    ///
    /// # Panics
    ///
    /// If an index is not below `examples.len()`.
    pub fn of_prompts(examples: &[Example], indices: &[usize], pad_id: u32, buckets: &Buckets) -> Self {
        let prompts: Vec<&[u32]> = indices.iter().map(|&index| examples[index].prompt.as_slice()).collect();
        Self::of(&prompts, pad_id, buckets)
    }

    fn of(texts: &[&[u32]], pad_id: u32, buckets: &Buckets) -> Self {
        let rows = texts.len();
        let cols = buckets.columns(texts.iter().map(|text| text.len()).max().unwrap_or(0));
        let mut ids = vec![pad_id; rows * cols];
        for (row, text) in texts.iter().enumerate() {
            ids[row * cols..][..text.len()].copy_from_slice(text);
        }
        let lengths = texts.iter().map(|text| text.len()).collect();
        Self { ids, rows, cols, lengths, label_positions: Vec::new(), label_targets: Vec::new() }
    }

    /// Flat positions of the last token of each row, `[rows]`: where the choices of a prompt are scored.
    pub fn last_positions(&self) -> Vec<usize> {
        let last = |(row, length): (usize, &usize)| row * self.cols + length.saturating_sub(1);
        self.lengths.iter().enumerate().map(last).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAD: u32 = 9999;

    /// An example of `prompt` prompt tokens, labelled or not. Its end of sequence is 2.
    fn example(item: usize, prompt: usize, answer: Option<usize>) -> Example {
        let prompt: Vec<u32> = (0..prompt as u32).map(|i| 100 + i).collect();
        let mut text = prompt.clone();
        if let Some(answer) = answer {
            text.extend([10 + answer as u32, 2]);
        }
        let answer_at = answer.map(|_| prompt.len());
        Example { text, answer_at, prompt, answer, choice_ids: vec![10, 11], truncated: false, item }
    }

    #[test]
    fn a_batch_of_two() {
        let examples = [example(0, 3, Some(1)), example(1, 4, None), example(2, 7, Some(0))];
        let texts = |indices: &[usize], pad, scope| Batch::of_texts(&examples, indices, pad, scope, &Buckets::any());
        let batch = texts(&[2, 0], PAD, LabelScope::Answer);
        assert_eq!((batch.rows, batch.cols), (2, 16));
        assert_eq!(batch.ids[16..24], [100, 101, 102, 11, 2, PAD, PAD, PAD]);
        assert_eq!(batch.lengths, [9, 5]);
        assert_eq!(batch.label_positions, [6, 18]);
        assert_eq!(batch.label_targets, [10, 11]);

        let text = texts(&[0], PAD, LabelScope::Text);
        assert_eq!(text.label_positions, [0, 1, 2, 3]);
        assert_eq!(text.label_targets, [101, 102, 11, 2]);
        // Padded with the end of sequence, as published.
        assert_eq!(texts(&[0], 2, LabelScope::Text).label_targets, [101, 102, 11]);
        assert_eq!(texts(&[1], PAD, LabelScope::Answer).label_positions, Vec::<usize>::new());

        let prompts = Batch::of_prompts(&examples, &[2, 0], PAD, &Buckets::any());
        assert_eq!((prompts.cols, prompts.last_positions()), (8, vec![6, 10]));
        assert_eq!(prompts.ids[8..13], [100, 101, 102, PAD, PAD]);
    }

    proptest! {
        #[test]
        fn padding_is_at_the_right_and_never_a_label(
            rows in prop::collection::vec((1..60_usize, prop::option::of(0..2_usize)), 0..12),
            whole: bool, most in 0..4_usize,
        ) {
            let examples: Vec<Example> =
                rows.iter().enumerate().map(|(i, &(prompt, answer))| example(i, prompt, answer)).collect();
            let indices: Vec<usize> = (0..examples.len()).collect();
            let scope = if whole { LabelScope::Text } else { LabelScope::Answer };
            let lengths: Vec<usize> = examples.iter().map(|example| example.text.len()).collect();
            let buckets = if most == 0 { Buckets::any() } else { Buckets::fitting(&lengths, most) };
            let batch = Batch::of_texts(&examples, &indices, PAD, scope, &buckets);
            prop_assert_eq!(batch.cols, buckets.columns(lengths.iter().copied().max().unwrap_or(0)));
            for (row, example) in examples.iter().enumerate() {
                let ids = &batch.ids[row * batch.cols..(row + 1) * batch.cols];
                let (text, padding) = ids.split_at(batch.lengths[row]);
                prop_assert_eq!(text, &example.text);
                prop_assert!(padding.iter().all(|&id| id == PAD));
            }
            for (&position, &target) in batch.label_positions.iter().zip(&batch.label_targets) {
                prop_assert_eq!(batch.ids[position + 1], target);
                prop_assert!(target != PAD);
            }
        }
    }
}
