//! AdamW (Loshchilov & Hutter 2019).

use burn::tensor::Tensor;

/// The numbers of one step of AdamW over one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Multiplies the gradient: clipping by norm.
    pub clip: f64,
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// The learning rate over `1 - beta_1^t`.
    pub step_size: f64,
    /// `1 / sqrt(1 - beta_2^t)`.
    pub second_factor: f64,
    /// Added to the corrected root of the second moment.
    pub epsilon: f64,
    /// `1 - rate weight_decay`, which multiplies the parameter.
    pub decay: f64,
}

/// A parameter and its moments, first and second, after one step; all of one shape. One launch on a GPU. For tensors without
/// autodiff.
pub fn adamw(value: Tensor<3>, gradient: Tensor<3>, moments: [Tensor<3>; 2], step: AdamWStep) -> [Tensor<3>; 3] {
    #[cfg(feature = "cube")]
    if crate::operations::is_cube(&value.device()) {
        let [first, second] = moments;
        let tensors = [value, gradient, first, second].map(Tensor::into_dispatch);
        return crate::gpu::adamw(tensors, step).map(Tensor::from_dispatch);
    }
    crate::composed::adamw(value, gradient, moments, step)
}

/// Sums of squares that add up to that of all elements, `[n]`: few, and one launch on a GPU. For tensors without autodiff.
pub fn squares<const D: usize>(x: Tensor<D>) -> Tensor<1> {
    #[cfg(feature = "cube")]
    if crate::operations::is_cube(&x.device()) {
        return Tensor::from_dispatch(crate::gpu::squares(x.into_dispatch()));
    }
    x.square().sum()
}
