//! Where the tensors of a loaded model come from: first only looked at, then read.

use super::shards::Shards;
use crate::{ModelError, TensorMismatch, WeightTypes, model::TensorSource};
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::collections::BTreeSet;

/// Compares names and shapes, and gives stand-ins: nothing of the model's size is asked for before everything fits.
pub(super) struct Survey<'a> {
    shards: &'a Shards,
    unread: BTreeSet<String>,
    mismatch: TensorMismatch,
    device: &'a Device,
}

impl<'a> Survey<'a> {
    pub(super) fn new(shards: &'a Shards, device: &'a Device) -> Self {
        Self { shards, unread: shards.names(), mismatch: TensorMismatch::default(), device }
    }

    /// All that differs, apart from names for which `is_ignorable`.
    pub(super) fn finish(mut self, is_ignorable: impl Fn(&str) -> bool) -> TensorMismatch {
        self.mismatch.unexpected.extend(self.unread.into_iter().filter(|name| !is_ignorable(name)));
        self.mismatch
    }
}

impl TensorSource for Survey<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<D> {
        self.unread.remove(name);
        match self.shards.shape(name) {
            None => self.mismatch.missing.push(name.to_owned()),
            Some(found) if found != shape => {
                self.mismatch.misshaped.push((name.to_owned(), found.to_vec(), shape.to_vec()));
            }
            Some(_) => {}
        }
        Tensor::zeros([1; D], self.device)
    }
}

/// Reads tensors that are all there, in the types that they are to be kept in.
pub(super) struct Reader<'a> {
    pub(super) shards: &'a Shards,
    pub(super) types: WeightTypes,
    pub(super) device: &'a Device,
    /// The first error; stand-ins follow it, and the model is thrown away.
    pub(super) error: Option<ModelError>,
}

impl Reader<'_> {
    fn read(&mut self, name: &str, dtype: DType) -> Option<TensorData> {
        if self.error.is_some() {
            return None;
        }
        self.shards.weight(name, dtype).unwrap_or_else(|error| {
            self.error = Some(error);
            None
        })
    }

    fn nothing<const D: usize>(&self) -> Tensor<D> {
        Tensor::zeros([1; D], self.device)
    }
}

impl TensorSource for Reader<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, _shape: [usize; D]) -> Tensor<D> {
        let dtype = self.types.precision.dtype();
        match self.read(name, dtype) {
            Some(data) => Tensor::from_data(data, (self.device, dtype)),
            None => self.nothing(),
        }
    }

    fn linear(&mut self, name: &str, shape: [usize; 2]) -> Tensor<2> {
        let Some(quantization) = self.types.quantization else { return self.tensor(name, shape) };
        let Some(data) = self.read(name, DType::F32) else { return self.nothing() };
        match quantization.apply(Tensor::from_data(data, (self.device, DType::F32))) {
            Some(weight) => weight,
            None => {
                self.error = Some(ModelError::NotQuantizable { linear: name.to_owned(), width: shape[1] });
                self.nothing()
            }
        }
    }
}
