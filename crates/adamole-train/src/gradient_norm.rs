//! The norm of all gradients together, by which they are clipped.

use crate::{NotFinite, routing::floats};
use adamole_kernels::square_sums;
use adamole_llama::{CausalLm, ParameterKind, ParameterVisitor};
use burn::{module::Param, optim::GradientsParams, tensor::Tensor};

/// Added to the norm that divides, as torch does.
const EPSILON: f64 = 1e-6;

/// The norm, still on the device.
pub(crate) struct GradientNorm {
    /// The parameters with gradients.
    parameters: Vec<String>,
    /// The sums that the squares of each are added up in, `[parameters, parts]`; `None` without gradients.
    squares: Option<Tensor<2>>,
}

impl GradientNorm {
    /// Queues the sums.
    pub(crate) fn of(model: &CausalLm, gradients: &GradientsParams) -> Self {
        struct Gradients<'a>(&'a GradientsParams, Vec<String>, Vec<Tensor<1>>);
        impl ParameterVisitor for Gradients<'_> {
            fn visit<const D: usize>(&mut self, name: String, _kind: ParameterKind, param: &Param<Tensor<D>>) {
                if let Some(gradient) = self.0.get::<D>(param.id) {
                    self.1.push(name);
                    self.2.push(gradient.flatten(0, D - 1));
                }
            }
        }
        let mut found = Gradients(gradients, Vec::new(), Vec::new());
        model.visit_parameters(&mut found);
        let Gradients(_, parameters, gradients) = found;
        Self { parameters, squares: square_sums(gradients) }
    }

    /// The norm before clipping.
    ///
    /// # Errors
    /// A gradient is not finite.
    pub(crate) fn read(self) -> Result<f64, NotFinite> {
        let parts = self.squares.as_ref().map_or(0, |squares| squares.dims()[1]);
        let sums = self.squares.map(|squares| floats(squares.into_data()));
        let mut sums = sums.unwrap_or_default().into_iter();
        let squares = self.parameters.into_iter().map(|name| (name, sums.by_ref().take(parts).sum::<f64>()));
        let squares: Vec<(String, f64)> = squares.collect();
        let norm = squares.iter().map(|(_, square)| square).sum::<f64>().sqrt();
        if norm.is_finite() {
            return Ok(norm);
        }
        let (name, value) = squares.into_iter().find(|(_, square)| !square.is_finite()).unwrap_or_default();
        Err(NotFinite { what: format!("gradient of {name}"), value })
    }

    /// What multiplies the gradients so that their norm is at most `max`, `[1]`, computed where they are: not a number where a
    /// gradient or `loss`, `[1]`, is not finite.
    pub(crate) fn clip_beside(&self, loss: Tensor<1>, max: f32) -> Tensor<1> {
        /// Finite sums stay finite together.
        const SCALE: f64 = 1.0 / (1_u64 << 20) as f64;
        let Some(squares) = &self.squares else { return loss.ones_like() };
        let norm = (squares.clone() * (SCALE * SCALE)).sum().sqrt() / SCALE;
        let clip = (norm.clone() + EPSILON).recip() * max;
        clip.clamp_max(1.0).mask_fill(norm.is_finite().bool_and(loss.is_finite()).bool_not(), f32::NAN)
    }
}

/// What multiplies gradients of a known norm so that it is at most `max`.
pub(crate) fn clip(norm: f64, max: f32) -> f32 {
    (f64::from(max) / (norm + EPSILON)).min(1.0) as f32
}
