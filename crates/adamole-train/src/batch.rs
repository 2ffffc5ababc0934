//! A batch on its device.

use adamole_core::ValidRows;
use adamole_data::{Batch, Padding};
use adamole_llama::AttentionMask;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// The tensors of one micro-batch.
#[derive(Debug, Clone)]
pub struct DeviceBatch {
    /// Token ids `[B, L]`.
    pub ids: Tensor<2, Int>,
    /// Who sees whom.
    pub mask: AttentionMask,
    /// Which rows of the flattened input count; `None` where all do.
    pub valid_rows: Option<ValidRows>,
    /// Flat positions whose output predicts a label.
    pub label_positions: Tensor<1, Int>,
    /// The tokens to predict there.
    pub label_targets: Tensor<1, Int>,
    /// Number of labels.
    pub labels: usize,
    /// Number of tokens that are not padding.
    pub tokens: usize,
}

impl DeviceBatch {
    /// Uploads a batch.
    pub fn new(batch: &Batch, device: &Device) -> Self {
        let tokens = batch.lengths.iter().sum();
        let is_padded = batch.padding == Padding::Right && tokens < batch.rows * batch.cols;
        let valid_rows = is_padded.then(|| {
            let mask: Vec<f32> = batch.token_mask().into_iter().map(f32::from).collect();
            ValidRows {
                mask: Tensor::from_data(TensorData::new(mask, [batch.rows * batch.cols, 1]), device),
                count: tokens,
            }
        });
        Self {
            ids: integers(batch.ids.iter().map(|&id| id as i32), device).reshape([batch.rows, batch.cols]),
            mask: match batch.padding {
                Padding::Right => AttentionMask::causal(batch.cols, device),
                Padding::Left => AttentionMask::padded(&batch.token_mask(), batch.cols, device),
            },
            valid_rows,
            label_positions: integers(batch.label_positions.iter().map(|&p| p as i32), device),
            label_targets: integers(batch.label_targets.iter().map(|&id| id as i32), device),
            labels: batch.label_positions.len(),
            tokens,
        }
    }
}

pub(crate) fn integers(values: impl Iterator<Item = i32>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.collect();
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}
