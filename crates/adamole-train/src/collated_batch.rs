//! Batches of explicit token ids, masks and labels, as other implementations write them.

use crate::{
    DeviceBatch, TrainError,
    batch::{integers, with_tokens},
};
use adamole_llama::{TokenBatch, Visibility};
use burn::tensor::Device;

/// The label of a position that is not trained on.
const IGNORED: i64 = -100;

/// Token ids with attention mask and labels, in rows of one length: the collated batch of transformers.
#[derive(Debug, Clone)]
pub struct CollatedBatch {
    /// Token ids, `[B, L]` in row-major order.
    pub ids: Vec<i64>,
    /// 1 for a token, 0 for padding, on whichever side; `[B, L]`.
    pub attention_mask: Vec<i64>,
    /// The token that the position before should predict, or -100 where it should predict none; `[B, L]`.
    pub labels: Option<Vec<i64>>,
    /// Number of rows B.
    pub rows: usize,
    /// Whether padding counts in the load balancing loss, in the routing statistics, and where a label follows it, as in
    /// the reference implementation.
    pub padding_counts: bool,
}

impl CollatedBatch {
    /// The tensors of the batch, for a model with so many tokens in its vocabulary.
    ///
    /// # Errors
    /// The batch is empty, its parts differ in size, or an id is outside the vocabulary.
    pub fn on_device(&self, vocabulary: usize, device: &Device) -> Result<DeviceBatch, TrainError> {
        let length = self.check(vocabulary)?;
        let mask: Vec<u8> = self.attention_mask.iter().map(|&mask| u8::from(mask != 0)).collect();
        let ids = integers(self.ids.iter().map(|&id| id as i32), device).reshape([self.rows, length]);
        let tokens = TokenBatch::new(ids, Visibility::padded(&mask, length, 0));
        let tokens = if self.padding_counts { tokens } else { with_tokens(tokens, &mask, device) };
        let labels = self.labelled(length, |position| self.padding_counts || mask[position] == 1);
        Ok(DeviceBatch {
            tokens,
            label_positions: integers(labels.iter().map(|&(position, _)| position as i32), device),
            label_targets: integers(labels.iter().map(|&(_, target)| target as i32), device),
        })
    }

    /// The length of a row.
    fn check(&self, vocabulary: usize) -> Result<usize, TrainError> {
        let wrong = |what: String| Err(TrainError::Batch { what });
        let size = self.ids.len();
        if size == 0 || self.rows == 0 || !size.is_multiple_of(self.rows) {
            return wrong(format!("input_ids has {size} ids in {} rows, expected at least one in each", self.rows));
        }
        for (name, found) in
            [("attention_mask", self.attention_mask.len()), ("labels", self.labels.as_ref().map_or(size, Vec::len))]
        {
            if found != size {
                return wrong(format!("{name} has {found} elements, expected as many as input_ids, {size}"));
            }
        }
        let outside = |id: &&i64| !(0..vocabulary as i64).contains(*id);
        if let Some(id) = self.ids.iter().find(outside) {
            return wrong(format!("input_ids holds {id}, expected ids below the vocabulary's {vocabulary}"));
        }
        if let Some(id) = self.labels.iter().flatten().find(|id| **id != IGNORED && outside(id)) {
            return wrong(format!("labels holds {id}, expected {IGNORED} or ids below the vocabulary's {vocabulary}"));
        }
        Ok(size / self.rows)
    }

    /// The positions that predict a label, with the label: each predicts the next one of its row.
    fn labelled(&self, length: usize, counts: impl Fn(usize) -> bool) -> Vec<(usize, i64)> {
        let Some(labels) = &self.labels else { return Vec::new() };
        let predicts = |&position: &usize| (position + 1) % length != 0 && counts(position);
        let positions = (0..labels.len().saturating_sub(1)).filter(predicts);
        positions.map(|position| (position, labels[position + 1])).filter(|(_, label)| *label != IGNORED).collect()
    }
}
