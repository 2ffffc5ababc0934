//! AdamW with clipping by norm.

use crate::{RoutingStatistics, TrainError, routing::floats};
use adamole_llama::{CausalLm, parameters};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    optim::GradientsParams,
    tensor::{Tensor, TensorData},
};
use std::collections::{BTreeMap, HashMap};

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

/// AdamW (Loshchilov & Hutter 2019) as torch computes it, behind a clip of the global norm as torch's
/// `clip_grad_norm_` does it.
///
/// A parameter without a gradient is left alone, and so is an expert that rested in the step where its router says so
/// ([`Router::skips_inactive_experts`](adamole_core::router::Router::skips_inactive_experts)): neither value nor moments move,
/// and its count of steps, which corrects their bias, stays. Burn's own optimizer counts steps per parameter, and the
/// experts of a layer are one parameter here; hence this one.
pub struct AdamW {
    settings: AdamWSettings,
    moments: HashMap<ParamId, Moments>,
    steps: usize,
}

/// Running means of the gradient and its square, `[outer, groups, inner]`, and the steps that each group has taken.
struct Moments {
    first: Tensor<3>,
    second: Tensor<3>,
    steps: Vec<u32>,
}

/// [`Moments`] off the device.
#[derive(Debug)]
pub(crate) struct MomentsData {
    pub(crate) first: TensorData,
    pub(crate) second: TensorData,
    pub(crate) steps: Vec<u32>,
}

/// How a parameter divides into experts: it is seen as `[outer, groups, inner]`, and the groups of `idle` rest.
struct Groups {
    outer: usize,
    idle: Vec<bool>,
}

impl AdamW {
    /// An optimizer without state yet.
    pub fn new(settings: AdamWSettings) -> Self {
        Self { settings, moments: HashMap::new(), steps: 0 }
    }

    /// The state, by the names of the model's parameters.
    pub(crate) fn moments(&self, model: &CausalLm) -> Vec<(String, MomentsData)> {
        let state = |(name, _, id, _)| {
            let Moments { first, second, steps } = self.moments.get(&id)?;
            Some((name, MomentsData { first: first.to_data(), second: second.to_data(), steps: steps.clone() }))
        };
        parameters(model).into_iter().filter_map(state).collect()
    }

    /// An optimizer that goes on after `steps` with the state that [`Self::moments`] gave, or the name of what does not
    /// fit the model.
    pub(crate) fn resume(
        settings: AdamWSettings,
        model: &CausalLm,
        mut moments: BTreeMap<String, MomentsData>,
        steps: usize,
    ) -> Result<Self, String> {
        let device = model.projection().device();
        let device = if device.is_autodiff() { device.inner() } else { device };
        let mut resumed = Self { steps, ..Self::new(settings) };
        for (name, _, id, elements) in parameters(model) {
            let Some(MomentsData { first, second, steps }) = moments.remove(&name) else { continue };
            let shape = first.shape().to_vec();
            let fits = shape.len() == 3
                && shape.iter().product::<usize>() == elements
                && shape[1] == steps.len()
                && second.shape().to_vec() == shape;
            if !fits {
                return Err(format!("the moments of {name} have the shape {shape:?}"));
            }
            let place = |data| Tensor::<3>::from_data(data, &device);
            resumed.moments.insert(id, Moments { first: place(first), second: place(second), steps });
        }
        match moments.into_keys().next() {
            Some(name) => Err(format!("the model has no parameter {name}")),
            None => Ok(resumed),
        }
    }

    /// Applies one step and returns the gradients' norm before clipping. `routing` tells which experts the step fired.
    ///
    /// # Errors
    /// A gradient is not finite. The error names the parameter, and the model is as it was.
    pub fn step(
        &mut self,
        rate: f64,
        model: &mut CausalLm,
        gradients: GradientsParams,
        routing: &RoutingStatistics,
    ) -> Result<f64, TrainError> {
        let squares = squared_norms(model, &gradients);
        let norm = squares.iter().map(|(_, square)| square).sum::<f64>().sqrt();
        if !norm.is_finite() {
            let (name, value) = squares.into_iter().find(|(_, square)| !square.is_finite()).unwrap_or_default();
            let (what, steps) = (format!("gradient of {name}"), self.steps);
            return Err(TrainError::NotFinite { what, value, step: steps, applied: steps });
        }
        let clip = (f64::from(self.settings.max_grad_norm) / (norm + 1e-6)).min(1.0);
        let groups = expert_groups(model, routing);
        let mut update = Update { settings: self.settings, rate, clip, gradients, groups, moments: &mut self.moments };
        *model = model.clone().map(&mut update);
        self.steps += 1;
        Ok(norm)
    }
}

/// The expert banks of which some experts may rest in a step, by parameter.
fn expert_groups(model: &CausalLm, routing: &RoutingStatistics) -> HashMap<ParamId, Groups> {
    let mut groups = HashMap::new();
    for (adapter, idle) in routing.inactive_experts(model) {
        for (spec, value) in adapter.parameters() {
            if let Some((_, dim)) = spec.experts {
                let outer = spec.shape[..dim].iter().product();
                groups.insert(value.id(), Groups { outer, idle: idle.clone() });
            }
        }
    }
    groups
}

struct Update<'a> {
    settings: AdamWSettings,
    rate: f64,
    clip: f64,
    gradients: GradientsParams,
    groups: HashMap<ParamId, Groups>,
    moments: &'a mut HashMap<ParamId, Moments>,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let id = param.id;
        param.map(|value| {
            let shape = value.shape();
            let (tracked, value) = if value.is_autodiff() { (true, value.inner()) } else { (false, value) };
            let groups = self.groups.remove(&id).unwrap_or(Groups { outer: 1, idle: vec![false] });
            let count = groups.idle.len();
            let inner = shape.num_elements() / (groups.outer * count);
            let view = [groups.outer, count, inner];
            let moments = self.moments.entry(id).or_insert_with(|| Moments {
                first: Tensor::zeros(view, &value.device()),
                second: Tensor::zeros(view, &value.device()),
                steps: vec![0; count],
            });
            let gradient = gradient.reshape(view) * self.clip;
            let updated = moments.update(value.reshape(view), gradient, &groups.idle, self.rate, self.settings);
            let updated = updated.reshape(shape);
            if tracked { Tensor::from_inner(updated).require_grad() } else { updated }
        })
    }
}

impl Moments {
    /// The parameter after one step.
    fn update(
        &mut self,
        value: Tensor<3>,
        gradient: Tensor<3>,
        idle: &[bool],
        rate: f64,
        settings: AdamWSettings,
    ) -> Tensor<3> {
        for (steps, _) in self.steps.iter_mut().zip(idle).filter(|(_, idle)| !**idle) {
            *steps += 1;
        }
        let (beta_1, beta_2) = (f64::from(settings.beta_1), f64::from(settings.beta_2));
        let first = self.first.clone() * beta_1 + gradient.clone() * (1.0 - beta_1);
        let second = self.second.clone() * beta_2 + gradient.square() * (1.0 - beta_2);
        // 1 / (1 - beta^t), which is 1 / 0 for an expert that never fired and does not move.
        let correction = |beta: f64, steps: u32| if steps == 0 { 0.0 } else { 1.0 / (1.0 - beta.powi(steps as i32)) };
        let decay = 1.0 - rate * f64::from(settings.weight_decay);
        let epsilon = f64::from(settings.epsilon);
        if idle.iter().all(|idle| !idle) && self.steps.iter().all(|steps| *steps == self.steps[0]) {
            let (of_first, of_second) = (correction(beta_1, self.steps[0]), correction(beta_2, self.steps[0]));
            let change = first.clone() / (second.clone().sqrt() * of_second.sqrt() + epsilon) * (rate * of_first);
            (self.first, self.second) = (first, second);
            return value * decay - change;
        }
        // As above, group by group; an idle one keeps everything.
        let device = value.device();
        let per_group = |f: &dyn Fn(usize) -> f64| {
            let values: Vec<f32> = (0..idle.len()).map(|group| f(group) as f32).collect();
            Tensor::<3>::from_data(TensorData::new(values, [1, idle.len(), 1]), &device)
        };
        let step_size = per_group(&|group| rate * correction(beta_1, self.steps[group]));
        let of_second = per_group(&|group| correction(beta_2, self.steps[group]).sqrt());
        let change = first.clone() / (second.clone().sqrt() * of_second + epsilon) * step_size;
        let resting = per_group(&|group| f64::from(u8::from(idle[group]))).greater_scalar(0.5).expand(value.dims());
        let updated = value.clone() * decay - change;
        self.first = first.mask_where(resting.clone(), self.first.clone());
        self.second = second.mask_where(resting.clone(), self.second.clone());
        updated.mask_where(resting, value)
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
