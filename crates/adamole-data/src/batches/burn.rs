//! Items and examples as Burn's data sets, and batches as tensors, for training loops other than ours.

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::{Batch, Buckets, Collation};
use crate::{Example, MultipleChoice, SplitItems};

impl Dataset<MultipleChoice> for SplitItems {
    fn get(&self, index: usize) -> Result<MultipleChoice, DatasetError> {
        Ok(self.items[index].clone())
    }

    fn len(&self) -> usize {
        self.items.len()
    }
}

/// Encoded items as a data set. A type of its own, since `Dataset` would take the names of a list's own methods.
#[derive(Debug, Clone)]
pub struct Examples(pub Vec<Example>);

impl Dataset<Example> for Examples {
    fn get(&self, index: usize) -> Result<Example, DatasetError> {
        Ok(self.0[index].clone())
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

/// A [`Batch`] of training texts on a device.
#[derive(Debug, Clone)]
pub struct TensorBatch {
    /// Token ids `[rows, cols]`.
    pub ids: Tensor<2, Int>,
    /// Where there is a token and not padding, `[rows, cols]`.
    pub is_token: Tensor<2, Bool>,
    /// Indices into the flattened `[rows * cols]` whose output predicts a label, `[labels]`.
    pub label_positions: Tensor<1, Int>,
    /// The token each of them is to predict, `[labels]`.
    pub label_targets: Tensor<1, Int>,
}

/// Makes batches of examples.
#[derive(Debug, Clone)]
pub struct ExampleBatcher {
    /// How texts become a batch.
    pub collation: Collation,
    /// How wide batches are.
    pub buckets: Buckets,
}

impl Batcher<Example, TensorBatch> for ExampleBatcher {
    fn batch(&self, items: Vec<Example>, device: &Device) -> TensorBatch {
        let all: Vec<usize> = (0..items.len()).collect();
        let batch = Batch::of_texts(&items, &all, self.collation, &self.buckets);
        let shape = [batch.rows, batch.cols];
        let is_token = batch.token_mask().into_iter().map(|token| token == 1);
        let numbers = |numbers: Vec<i64>| {
            let shape = [numbers.len()];
            Tensor::<1, Int>::from_data(TensorData::new(numbers, shape), device)
        };
        TensorBatch {
            ids: numbers(batch.ids.iter().map(|id| i64::from(*id)).collect()).reshape(shape),
            is_token: Tensor::from_data(TensorData::new(is_token.collect::<Vec<bool>>(), shape), device),
            label_positions: numbers(batch.label_positions.iter().map(|position| *position as i64).collect()),
            label_targets: numbers(batch.label_targets.iter().map(|id| i64::from(*id)).collect()),
        }
    }
}
