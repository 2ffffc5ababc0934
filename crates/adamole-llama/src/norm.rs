//! Root-mean-square normalisation (Zhang & Sennrich 2019).

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};

/// `x / sqrt(mean(x^2) + eps) * weight`, over the last dimension.
#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    /// `[hidden]`.
    pub(crate) weight: Param<Tensor<1>>,
    #[module(skip)]
    pub(crate) eps: f32,
}

impl RmsNorm {
    /// `[T, hidden]` to `[T, hidden]`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let mean_square = x.clone().square().mean_dim(1);
        x * (mean_square + self.eps).sqrt().recip() * self.weight.val().unsqueeze::<2>()
    }
}
