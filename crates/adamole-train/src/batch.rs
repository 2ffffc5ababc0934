//! A batch on its device.

use adamole_core::ValidRows;
use adamole_data::Batch;
use adamole_llama::AttentionMask;
use burn::tensor::{Device, Int, Tensor, TensorData};

/// The tensors of one micro-batch.
#[derive(Debug, Clone)]
pub struct DeviceBatch {
    /// Token ids `[B, L]`, padded on the right.
    pub ids: Tensor<2, Int>,
    /// Who sees whom.
    pub mask: AttentionMask,
    /// Which rows of the flattened input are tokens; `None` where all are.
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
        let valid_rows = (tokens < batch.rows * batch.cols).then(|| {
            let row = |&length: &usize| (0..batch.cols).map(move |column| f32::from(u8::from(column < length)));
            let mask: Vec<f32> = batch.lengths.iter().flat_map(row).collect();
            ValidRows {
                mask: Tensor::from_data(TensorData::new(mask, [batch.rows * batch.cols, 1]), device),
                count: tokens,
            }
        });
        Self {
            ids: integers(batch.ids.iter().map(|&id| id as i32), device).reshape([batch.rows, batch.cols]),
            mask: AttentionMask::causal(batch.cols, device),
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
