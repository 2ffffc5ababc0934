//! A batch of token ids with its padding and labels.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, VariantNames};

use super::{Buckets, DataSet};
use crate::Example;
use crate::error::{DataError, unknown_name};

/// The tokens that have a loss.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Display, EnumString, VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = DataError, parse_err_fn = unknown_name::<Self>)]
pub enum LabelScope {
    /// The answer's token alone.
    #[default]
    Answer,
    /// The full text, as in the reference implementation: every token except the first, and except the end of sequence where that is
    /// also the padding token. The reference implementation pads with it and thus never trains a model to stop.
    Text,
}

/// The side of a row that is padded.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, Display, EnumString, VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = DataError, parse_err_fn = unknown_name::<Self>)]
pub enum Padding {
    /// The right side. No token attends to the padding, and it is not counted anywhere.
    #[default]
    Right,
    /// The left side, to a multiple of 8, as in the reference implementation. Padding counts as tokens in the load balancing loss and
    /// in the number of active experts, and under [`LabelScope::Text`] its last token is trained to predict the first token.
    Left,
}

/// How texts lie in a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Each in a row of its own, padded to one length.
    Padded(Padding),
    /// One after the other in one row, which is padded on the right.
    Packed,
}

/// How texts are put together to a training batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collation {
    /// The padding token, which is never a label.
    pub pad_id: u32,
    /// The tokens that have a loss.
    pub labels: LabelScope,
    /// How the texts lie in the batch.
    pub layout: Layout,
}

/// A batch of texts in `rows` rows of `cols` columns. Positions in it are flat: `row * cols + column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `[rows * cols]`.
    pub ids: Vec<u32>,
    /// The number of texts; 1 where they are packed.
    pub rows: usize,
    /// The length of the longest text, or of all together where they are packed, rounded up to a bucket.
    pub cols: usize,
    /// How the texts lie in the batch.
    pub layout: Layout,
    /// The number of tokens of each text.
    pub lengths: Vec<usize>,
    /// The positions whose output predicts a label, ascending, `[labels]`; none in a batch of prompts.
    pub label_positions: Vec<usize>,
    /// The token that each of them is to predict, `[labels]`.
    pub label_targets: Vec<u32>,
}

impl Batch {
    /// The batch of the training texts with these indices.
    ///
    /// Under [`LabelScope::Answer`], an example without an answer in its text has no label.
    ///
    /// # Panics
    ///
    /// If an index is not below the number of texts.
    pub fn of_texts<'a>(
        texts: impl Into<DataSet<'a>>,
        indices: &[usize],
        collation: Collation,
        buckets: &Buckets,
    ) -> Self {
        let set = texts.into();
        let texts: Vec<&[u32]> = indices.iter().map(|&index| set.text(index)).collect();
        let mut batch = Self::of(&texts, collation.pad_id, collation.layout, buckets);
        let starts = batch.starts();
        for ((&index, text), start) in indices.iter().zip(texts).zip(starts) {
            let follows_padding = !start.is_multiple_of(batch.cols) && collation.layout != Layout::Packed;
            for label in set.labels(index, collation, follows_padding) {
                batch.label_positions.push(start + label - 1);
                batch.label_targets.push(text[label]);
            }
        }
        batch
    }

    /// The batch of the prompts of the examples with these indices, padded on the right with `pad_id`.
    ///
    /// # Panics
    ///
    /// If an index is not below `examples.len()`.
    pub fn of_prompts(examples: &[Example], indices: &[usize], pad_id: u32, buckets: &Buckets) -> Self {
        let prompts: Vec<&[u32]> = indices.iter().map(|&index| examples[index].prompt.as_slice()).collect();
        Self::of(&prompts, pad_id, Layout::Padded(Padding::Right), buckets)
    }

    fn of(texts: &[&[u32]], pad_id: u32, layout: Layout, buckets: &Buckets) -> Self {
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let (rows, cols) = match layout {
            Layout::Padded(Padding::Right) => (texts.len(), buckets.columns(longest)),
            Layout::Padded(Padding::Left) => (texts.len(), Buckets::any().columns(longest)),
            Layout::Packed => (1, Buckets::any().columns(lengths.iter().sum())),
        };
        let ids = vec![pad_id; rows * cols];
        let (label_positions, label_targets) = (Vec::new(), Vec::new());
        let mut batch = Self { ids, rows, cols, layout, lengths, label_positions, label_targets };
        for (text, start) in texts.iter().zip(batch.starts()) {
            batch.ids[start..][..text.len()].copy_from_slice(text);
        }
        batch
    }

    /// The position of the first token of each text.
    fn starts(&self) -> Vec<usize> {
        let rows = self.lengths.iter().enumerate();
        match self.layout {
            Layout::Padded(Padding::Right) => rows.map(|(row, _)| row * self.cols).collect(),
            Layout::Padded(Padding::Left) => rows.map(|(row, length)| (row + 1) * self.cols - length).collect(),
            Layout::Packed => {
                let start = |next: &mut usize, length: &usize| Some(std::mem::replace(next, *next + length));
                self.lengths.iter().scan(0, start).collect()
            }
        }
    }

    /// 1 for a token and 0 for padding, `[rows * cols]`.
    pub fn token_mask(&self) -> Vec<u8> {
        let mut mask = vec![0; self.rows * self.cols];
        for (length, start) in self.lengths.iter().zip(self.starts()) {
            mask[start..][..*length].fill(1);
        }
        mask
    }

    /// The position of the last token of each text, where the choices of a prompt are scored.
    pub fn last_positions(&self) -> Vec<usize> {
        self.starts().iter().zip(&self.lengths).map(|(start, length)| start + length.saturating_sub(1)).collect()
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
        let texts = |indices: &[usize], pad_id, labels| {
            let collation = Collation { pad_id, labels, layout: Layout::Padded(Padding::Right) };
            Batch::of_texts(&examples, indices, collation, &Buckets::any())
        };
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

    #[test]
    fn a_batch_padded_on_the_left_has_a_loss_on_its_first_token() {
        let examples = [example(0, 3, Some(1)), example(1, 6, Some(0))];
        let collation = Collation { pad_id: PAD, labels: LabelScope::Text, layout: Layout::Padded(Padding::Left) };
        let batch = Batch::of_texts(&examples, &[0, 1], collation, &Buckets::fitting(&[8], 1));
        assert_eq!(batch.ids, [PAD, PAD, PAD, 100, 101, 102, 11, 2, 100, 101, 102, 103, 104, 105, 10, 2]);
        assert_eq!(batch.token_mask(), [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        // The first row's padding predicts its 100; the second row has none.
        assert_eq!(batch.label_positions, [2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14]);
        assert_eq!(batch.label_targets[..2], [100, 101]);
        assert_eq!(batch.last_positions(), [7, 15]);
        let answers =
            Batch::of_texts(&examples, &[0], Collation { labels: LabelScope::Answer, ..collation }, &Buckets::any());
        assert_eq!((answers.label_positions, answers.label_targets), (vec![5], vec![11]));
    }

    #[test]
    fn a_packed_batch_has_one_row() {
        let examples = [example(0, 3, Some(1)), example(1, 6, Some(0))];
        let collation = Collation { pad_id: PAD, labels: LabelScope::Text, layout: Layout::Packed };
        let batch = Batch::of_texts(&examples, &[1, 0], collation, &Buckets::fitting(&[8], 1));
        assert_eq!((batch.rows, batch.cols, &batch.lengths[..]), (1, 16, &[8, 5][..]));
        assert_eq!(batch.ids, [100, 101, 102, 103, 104, 105, 10, 2, 100, 101, 102, 11, 2, PAD, PAD, PAD]);
        assert_eq!(batch.token_mask(), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]);
        // No text predicts the first token of the next one.
        assert_eq!(batch.label_positions, [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]);
        assert_eq!(batch.label_targets, [101, 102, 103, 104, 105, 10, 2, 101, 102, 11, 2]);
        assert_eq!(batch.last_positions(), [7, 12]);
    }

    proptest! {
        #[test]
        fn padding_is_on_the_right_and_never_a_label(
            rows in prop::collection::vec((1..60_usize, prop::option::of(0..2_usize)), 0..12),
            whole: bool, most in 0..4_usize,
        ) {
            let examples: Vec<Example> =
                rows.iter().enumerate().map(|(i, &(prompt, answer))| example(i, prompt, answer)).collect();
            let indices: Vec<usize> = (0..examples.len()).collect();
            let labels = if whole { LabelScope::Text } else { LabelScope::Answer };
            let collation = Collation { pad_id: PAD, labels, layout: Layout::Padded(Padding::Right) };
            let lengths: Vec<usize> = examples.iter().map(|example| example.text.len()).collect();
            let buckets = if most == 0 { Buckets::any() } else { Buckets::fitting(&lengths, most) };
            let batch = Batch::of_texts(&examples, &indices, collation, &buckets);
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
