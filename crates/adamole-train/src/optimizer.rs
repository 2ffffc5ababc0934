//! AdamW with clipping by norm, and the learning rate's course.

use crate::{TrainError, routing::floats};
use adamole_llama::CausalLm;
use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::{AdamWConfig, GradientsParams, ModuleOptimizer},
    tensor::Tensor,
};
use std::f64::consts::PI;

/// The settings of [`AdamW`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWSettings {
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay.
    pub weight_decay: f32,
    /// Largest norm of all gradients together.
    pub max_grad_norm: f32,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0 }
    }
}

/// The learning rate as a function of the step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Rate after the warm-up.
    pub peak: f64,
    /// Steps of linear warm-up; the first of them has rate 0, as in the published recipe.
    pub warmup_steps: usize,
    /// Where given, the rate falls along a cosine to a tenth of its peak until this step.
    pub decay_steps: Option<usize>,
}

impl Schedule {
    /// The rate of `step`, counted from 0.
    pub fn rate(&self, step: usize) -> f64 {
        let warmup = self.warmup_steps.max(1);
        if step < warmup {
            return self.peak * step as f64 / warmup as f64;
        }
        let Some(end) = self.decay_steps.filter(|&end| end > warmup) else { return self.peak };
        let progress = ((step - warmup) as f64 / (end - warmup) as f64).min(1.0);
        self.peak * (0.55 + 0.45 * (PI * progress).cos())
    }
}

/// Burn's AdamW behind a clip of the global norm, as torch's `clip_grad_norm_` does it.
pub struct AdamW {
    optimizer: ModuleOptimizer,
    max_grad_norm: f32,
    steps: usize,
}

impl AdamW {
    /// An optimizer without state yet.
    pub fn new(settings: AdamWSettings) -> Self {
        let optimizer = AdamWConfig::new()
            .with_beta_1(settings.beta_1)
            .with_beta_2(settings.beta_2)
            .with_epsilon(settings.epsilon)
            .with_weight_decay(settings.weight_decay)
            .init();
        Self { optimizer, max_grad_norm: settings.max_grad_norm, steps: 0 }
    }

    /// Applies one step and returns the gradients' norm before clipping.
    ///
    /// # Errors
    /// A gradient is not finite. The error names the parameter, and the model is returned unchanged through `model`.
    pub fn step(&mut self, rate: f64, model: &mut CausalLm, gradients: GradientsParams) -> Result<f64, TrainError> {
        let squares = squared_norms(model, &gradients);
        let norm = squares.iter().map(|(_, square)| square).sum::<f64>().sqrt();
        if !norm.is_finite() {
            let (name, value) = squares.into_iter().find(|(_, square)| !square.is_finite()).unwrap_or_default();
            return Err(TrainError::NotFinite { what: format!("gradient of {name}"), value, step: self.steps });
        }
        let factor = f64::from(self.max_grad_norm) / (norm + 1e-6);
        let gradients = if factor < 1.0 { scaled(model, gradients, factor) } else { gradients };
        *model = self.optimizer.step(rate, model.clone(), gradients);
        self.steps += 1;
        Ok(norm)
    }
}

/// Name and squared norm of every gradient, read off the device in one transfer.
fn squared_norms(model: &CausalLm, gradients: &GradientsParams) -> Vec<(String, f64)> {
    struct Squares<'a> {
        gradients: &'a GradientsParams,
        path: Vec<String>,
        names: Vec<String>,
        squares: Vec<Tensor<1>>,
    }
    impl ModuleVisitor for Squares<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                self.names.push(self.path.join("."));
                self.squares.push(gradient.square().sum());
            }
        }
    }
    let mut visitor = Squares { gradients, path: Vec::new(), names: Vec::new(), squares: Vec::new() };
    model.visit(&mut visitor);
    if visitor.squares.is_empty() {
        return Vec::new();
    }
    visitor.names.into_iter().zip(floats(Tensor::cat(visitor.squares, 0).into_data())).collect()
}

fn scaled(model: &CausalLm, gradients: GradientsParams, factor: f64) -> GradientsParams {
    struct Scale(GradientsParams, f64);
    impl ModuleVisitor for Scale {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.remove::<D>(param.id) {
                self.0.register(param.id, gradient * self.1);
            }
        }
    }
    let mut scale = Scale(gradients, factor);
    model.visit(&mut scale);
    scale.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_from_zero_then_stays() {
        let schedule = Schedule { peak: 1.0, warmup_steps: 4, decay_steps: None };
        assert_eq!([0, 1, 4, 900].map(|step| schedule.rate(step)), [0.0, 0.25, 1.0, 1.0]);
    }

    #[test]
    fn a_cosine_ends_at_a_tenth() {
        let schedule = Schedule { peak: 2.0, warmup_steps: 1, decay_steps: Some(101) };
        assert_eq!(schedule.rate(1), 2.0);
        assert!((schedule.rate(51) - 1.1).abs() < 1e-12);
        assert!((schedule.rate(101) - 0.2).abs() < 1e-12 && (schedule.rate(500) - 0.2).abs() < 1e-12);
    }
}
