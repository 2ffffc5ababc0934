//! AdamW (Loshchilov & Hutter 2019).

use burn::tensor::Tensor;

#[cfg(feature = "kernels")]
use {
    crate::{nodes::PlainKernels, operations::is_fused},
    burn::backend::Dispatch,
};

/// The numbers of one step of AdamW over one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Decay of the first moment.
    pub beta_1: f64,
    /// Decay of the second moment.
    pub beta_2: f64,
    /// The learning rate.
    pub rate: f64,
    /// Added to the corrected root of the second moment.
    pub epsilon: f64,
    /// `1 - rate weight_decay`, which multiplies the parameter.
    pub decay: f64,
    /// Where the counts of this parameter's experts begin.
    pub first_count: usize,
}

/// What a step does to one expert, of which it is the `count`-th.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExpertStep {
    /// `rate / (1 - beta_1^count)`.
    pub(crate) step_size: f32,
    /// `1 / sqrt(1 - beta_2^count)`.
    pub(crate) second_factor: f32,
}

impl AdamWStep {
    /// `None` for an expert that rests.
    pub(crate) fn of_expert(&self, count: f32) -> Option<ExpertStep> {
        let correction = |beta: f64| 1.0 / (1.0 - beta.powi(count as i32));
        (count > 0.0).then(|| ExpertStep {
            step_size: (self.rate * correction(self.beta_1)) as f32,
            second_factor: correction(self.beta_2).sqrt() as f32,
        })
    }
}

/// A parameter and its moments, first and second, after one step; each `[outer, experts, inner]`. One launch on a GPU. For
/// tensors without autodiff.
///
/// `clip`, `[1]`, multiplies the gradient. `counts`, `[n]`, has at `step.first_count` and after it the steps that each expert has
/// taken with this one; where it is not positive the expert rests, and neither its values nor its moments change. A GPU
/// computes both and does not have to wait until the host has read them.
pub fn adamw(
    value: Tensor<3>,
    gradient: Tensor<3>,
    moments: [Tensor<3>; 2],
    clip: Tensor<1>,
    counts: Tensor<1>,
    step: AdamWStep,
) -> [Tensor<3>; 3] {
    #[cfg(feature = "kernels")]
    if is_fused(&value) {
        let [first, second] = moments;
        let [value, gradient, first, second] = [value, gradient, first, second].map(Tensor::into_dispatch);
        let (clip, counts) = (clip.into_dispatch(), counts.into_dispatch());
        let (value, first, second) = Dispatch::adamw(value, gradient, first, second, clip, counts, step);
        return [value, first, second].map(Tensor::from_dispatch);
    }
    crate::composed::adamw(value, gradient, moments, clip, counts, step)
}
