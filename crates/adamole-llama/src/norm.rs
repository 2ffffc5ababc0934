//! Root-mean-square normalisation (Zhang & Sennrich 2019).

use crate::precision::{narrowed, widened};
use adamole_kernels::{composed, rms_norm};
use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

/// `x / sqrt(mean(x^2) + eps) * (offset + weight)`, over the last dimension; the offset is 0, and 1 for Gemma.
#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    /// `[hidden]`.
    pub(crate) weight: Param<Tensor<1>>,
    #[module(skip)]
    pub(crate) eps: f32,
    #[module(skip)]
    pub(crate) offset: f32,
}

impl RmsNorm {
    /// `[T, hidden]` to `[T, hidden]`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let dtype = x.dtype();
        let weight = match self.offset {
            0.0 => widened(self.weight.val()),
            offset => widened(self.weight.val()) + offset,
        };
        // A fused norm takes its weight for a constant, which it is not in pretraining.
        let norm = if self.weight.val().is_require_grad() { composed::rms_norm } else { rms_norm };
        narrowed(norm(widened(x), weight, self.eps), dtype)
    }
}
