//! A batch on its device.

use adamole_core::ValidRows;
use adamole_data::{Batch, Layout, Padding};
use adamole_llama::{TokenBatch, Visibility};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// A batch of token ids with its labels.
#[derive(Debug, Clone)]
pub struct DeviceBatch {
    /// The token ids and their layout.
    pub tokens: TokenBatch,
    /// Flat positions whose output predicts a label.
    pub label_positions: Tensor<1, Int>,
    /// The tokens to predict there.
    pub label_targets: Tensor<1, Int>,
}

impl DeviceBatch {
    /// Uploads a batch.
    pub fn new(batch: &Batch, device: &Device) -> Self {
        let ids = integers(batch.ids.iter().map(|&id| id as i32), device).reshape([batch.rows, batch.cols]);
        let mask = batch.token_mask();
        Self {
            tokens: match batch.layout {
                Layout::Packed => TokenBatch::packed(ids, &batch.lengths),
                Layout::Padded(Padding::Right) => with_tokens(TokenBatch::causal(ids), &mask, device),
                // Padding on the left counts, as in the reference implementation.
                Layout::Padded(Padding::Left) => TokenBatch::new(ids, Visibility::padded(&mask, batch.cols, 0)),
            },
            label_positions: integers(batch.label_positions.iter().map(|&p| p as i32), device),
            label_targets: integers(batch.label_targets.iter().map(|&id| id as i32), device),
        }
    }
}

/// The batch with padding where `mask` `[B L]` is 0.
pub(crate) fn with_tokens(batch: TokenBatch, mask: &[u8], device: &Device) -> TokenBatch {
    let count = mask.iter().filter(|&&token| token == 1).count();
    if count == mask.len() {
        return batch;
    }
    let mask: Vec<f32> = mask.iter().map(|&token| f32::from(token)).collect();
    let rows = mask.len();
    batch.with_tokens(ValidRows { mask: Tensor::from_data(TensorData::new(mask, [rows, 1]), device), count })
}

pub(crate) fn integers(values: impl Iterator<Item = i32>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.collect();
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}
