//! Batches of examples as tensors, for Burn's own data loader.

use burn::data::dataloader::batcher::Batcher;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::{Batch, Buckets, Collation};
use crate::Example;

/// A [`Batch`] of training texts on a device.
#[derive(Debug, Clone)]
pub struct TensorBatch {
    /// Token ids `[rows, cols]`.
    pub ids: Tensor<2, Int>,
    /// The token mask: true for a token, false for padding, `[rows, cols]`.
    pub token_mask: Tensor<2, Bool>,
    /// The positions in the flattened `[rows * cols]` whose output predicts a label, `[labels]`.
    pub label_positions: Tensor<1, Int>,
    /// The token that each of them is to predict, `[labels]`.
    pub label_targets: Tensor<1, Int>,
}

/// A [`Batcher`] of examples, for example of those in Burn's [`InMemDataset`](burn::data::dataset::InMemDataset).
#[derive(Debug, Clone)]
pub struct ExampleBatcher {
    /// How texts are put together.
    pub collation: Collation,
    /// The padded lengths.
    pub buckets: Buckets,
}

impl Batcher<Example, TensorBatch> for ExampleBatcher {
    fn batch(&self, items: Vec<Example>, device: &Device) -> TensorBatch {
        let all: Vec<usize> = (0..items.len()).collect();
        let batch = Batch::of_texts(&items, &all, self.collation, &self.buckets);
        let shape = [batch.rows, batch.cols];
        let token_mask: Vec<bool> = batch.token_mask().into_iter().map(|token| token == 1).collect();
        let numbers = |numbers: Vec<i64>| {
            let shape = [numbers.len()];
            Tensor::<1, Int>::from_data(TensorData::new(numbers, shape), device)
        };
        TensorBatch {
            ids: numbers(batch.ids.iter().map(|id| i64::from(*id)).collect()).reshape(shape),
            token_mask: Tensor::from_data(TensorData::new(token_mask, shape), device),
            label_positions: numbers(batch.label_positions.iter().map(|position| *position as i64).collect()),
            label_targets: numbers(batch.label_targets.iter().map(|id| i64::from(*id)).collect()),
        }
    }
}
