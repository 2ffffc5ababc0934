//! AdamW with clipping by norm.

use crate::{CheckpointDamage, NotFinite, RoutingStatistics, routing::floats};
use adamole_kernels::{AdamWStep, adamw, squares};
use adamole_llama::{CausalLm, Parameter, ParameterKind, ParameterVisitor};
use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
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
    /// The learning rate of the experts' B, as a multiple of that of all other parameters (LoRA+).
    pub rate_ratio_of_b: f64,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0, rate_ratio_of_b: 1.0 }
    }
}

/// AdamW (Loshchilov & Hutter 2019) as torch computes it, behind a clip of the global norm as torch's
/// `clip_grad_norm_` does it.
///
/// A parameter without a gradient is left alone, and so is an inactive expert whose router says so
/// ([`Router::skips_inactive_experts`](adamole_core::router::Router::skips_inactive_experts)): neither value nor moments change, nor
/// its count of steps, which corrects their bias. Burn's own optimizer counts steps per parameter, and the
/// experts of a layer are one parameter here; hence this one.
pub struct AdamW {
    settings: AdamWSettings,
    moments: HashMap<ParamId, Moments>,
}

/// Running means of the gradient and its square, `[outer, experts, inner]`, and the steps that each expert has taken.
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

/// The experts of a parameter, which is seen as `[outer, experts, inner]`: whether each is inactive in a step.
struct Experts {
    outer: usize,
    inactive: Vec<bool>,
}

impl AdamW {
    /// An optimizer without state yet.
    pub fn new(settings: AdamWSettings) -> Self {
        Self { settings, moments: HashMap::new() }
    }

    /// The state, by the names of the model's parameters.
    pub(crate) fn moments(&self, model: &CausalLm) -> Vec<(String, MomentsData)> {
        let state = |Parameter { name, id, .. }| {
            let Moments { first, second, steps } = self.moments.get(&id)?;
            Some((name, MomentsData { first: first.to_data(), second: second.to_data(), steps: steps.clone() }))
        };
        model.parameters().into_iter().filter_map(state).collect()
    }

    /// An optimizer with the state that [`Self::moments`] gave.
    ///
    /// # Errors
    /// The state is not that of this model's parameters.
    pub(crate) fn resume(
        settings: AdamWSettings,
        model: &CausalLm,
        mut moments: BTreeMap<String, MomentsData>,
    ) -> Result<Self, CheckpointDamage> {
        let device = model.device().inner();
        let (mut resumed, mut unfit) = (Self::new(settings), Vec::new());
        for Parameter { name, id, elements, .. } in model.parameters() {
            let Some(MomentsData { first, second, steps }) = moments.remove(&name) else { continue };
            let shape = first.shape().to_vec();
            let fits = shape.len() == 3
                && shape.iter().product::<usize>() == elements
                && shape[1] == steps.len()
                && second.shape().to_vec() == shape;
            if !fits {
                unfit.push(name);
                continue;
            }
            let place = |data| Tensor::<3>::from_data(data, &device);
            resumed.moments.insert(id, Moments { first: place(first), second: place(second), steps });
        }
        unfit.extend(moments.into_keys());
        if unfit.is_empty() { Ok(resumed) } else { Err(CheckpointDamage::Unfit(unfit)) }
    }

    /// Applies one step and returns the gradients' norm before clipping. `routing` says which experts were active in it.
    ///
    /// # Errors
    /// A gradient is not finite. The error names the parameter, and the model is as it was.
    pub fn step(
        &mut self,
        rate: f64,
        model: &mut CausalLm,
        gradients: GradientsParams,
        routing: &RoutingStatistics,
    ) -> Result<f64, NotFinite> {
        let norm = gradient_norm(model, &gradients)?;
        self.apply(rate, model, (gradients, norm), routing);
        Ok(norm)
    }

    /// [`Self::step`] with gradients whose norm is known.
    pub(crate) fn apply(
        &mut self,
        rate: f64,
        model: &mut CausalLm,
        (gradients, norm): (GradientsParams, f64),
        routing: &RoutingStatistics,
    ) {
        let clip = (f64::from(self.settings.max_grad_norm) / (norm + 1e-6)).min(1.0);
        let (experts, rates) = (experts(model, routing), rates(model, rate, self.settings.rate_ratio_of_b));
        let moments = &mut self.moments;
        let mut update = Update { settings: self.settings, rate, rates, clip, gradients, experts, moments };
        *model = model.clone().map(&mut update).tied();
    }
}

/// The norm of all gradients together.
///
/// # Errors
/// One is not finite.
pub(crate) fn gradient_norm(model: &CausalLm, gradients: &GradientsParams) -> Result<f64, NotFinite> {
    let squares = squared_norms(model, gradients);
    let norm = squares.iter().map(|(_, square)| square).sum::<f64>().sqrt();
    if norm.is_finite() {
        return Ok(norm);
    }
    let (name, value) = squares.into_iter().find(|(_, square)| !square.is_finite()).unwrap_or_default();
    Err(NotFinite { what: format!("gradient of {name}"), value })
}

/// The parameters of which inactive experts are left alone.
fn experts(model: &CausalLm, routing: &RoutingStatistics) -> HashMap<ParamId, Experts> {
    let mut experts = HashMap::new();
    for (adapter, inactive) in routing.inactive_experts(model) {
        for (spec, value) in adapter.parameters() {
            if let Some((_, dim)) = spec.experts {
                let outer = spec.shape[..dim].iter().product();
                experts.insert(value.id(), Experts { outer, inactive: inactive.clone() });
            }
        }
    }
    experts
}

/// The learning rates that are not `rate`: those of B.
fn rates(model: &CausalLm, rate: f64, ratio_of_b: f64) -> HashMap<ParamId, f64> {
    let linears = if ratio_of_b == 1.0 { Vec::new() } else { model.linears() };
    let of_b = linears.into_iter().filter_map(|(_, linear)| Some(linear.adapter.as_ref()?.parameter("b")?.id()));
    of_b.map(|id| (id, rate * ratio_of_b)).collect()
}

struct Update<'a> {
    settings: AdamWSettings,
    rate: f64,
    rates: HashMap<ParamId, f64>,
    clip: f64,
    gradients: GradientsParams,
    experts: HashMap<ParamId, Experts>,
    moments: &'a mut HashMap<ParamId, Moments>,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return param };
        let id = param.id;
        param.map(|value| {
            let shape = value.shape();
            let (tracked, value) = if value.is_autodiff() { (true, value.inner()) } else { (false, value) };
            let experts = self.experts.remove(&id).unwrap_or(Experts { outer: 1, inactive: vec![false] });
            let count = experts.inactive.len();
            let inner = shape.num_elements() / (experts.outer * count);
            let view = [experts.outer, count, inner];
            let moments = self.moments.entry(id).or_insert_with(|| Moments {
                first: Tensor::zeros(view, &value.device()),
                second: Tensor::zeros(view, &value.device()),
                steps: vec![0; count],
            });
            let rate = self.rates.get(&id).copied().unwrap_or(self.rate);
            let (value, gradient) = (value.reshape(view), gradient.reshape(view));
            let updated = moments.update(value, (gradient, self.clip), &experts.inactive, rate, self.settings);
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
        (gradient, clip): (Tensor<3>, f64),
        inactive: &[bool],
        rate: f64,
        settings: AdamWSettings,
    ) -> Tensor<3> {
        for (steps, _) in self.steps.iter_mut().zip(inactive).filter(|(_, inactive)| !**inactive) {
            *steps += 1;
        }
        let (beta_1, beta_2) = (f64::from(settings.beta_1), f64::from(settings.beta_2));
        // 1 / (1 - beta^t), which is 1 / 0 for an expert that was never active and does not move.
        let correction = |beta: f64, steps: u32| if steps == 0 { 0.0 } else { 1.0 / (1.0 - beta.powi(steps as i32)) };
        let decay = 1.0 - rate * f64::from(settings.weight_decay);
        let epsilon = f64::from(settings.epsilon);
        if inactive.iter().all(|inactive| !inactive) && self.steps.iter().all(|steps| *steps == self.steps[0]) {
            let (of_first, of_second) = (correction(beta_1, self.steps[0]), correction(beta_2, self.steps[0]));
            let (step_size, second_factor) = (rate * of_first, of_second.sqrt());
            let step = AdamWStep { clip, beta_1, beta_2, step_size, second_factor, epsilon, decay };
            let moments = [self.first.clone(), self.second.clone()];
            let [updated, first, second] = adamw(value, gradient, moments, step);
            (self.first, self.second) = (first, second);
            return updated;
        }
        // As `adamw` does, expert by expert; an inactive one keeps everything.
        let gradient = gradient * clip;
        let first = self.first.clone() * beta_1 + gradient.clone() * (1.0 - beta_1);
        let second = self.second.clone() * beta_2 + gradient.square() * (1.0 - beta_2);
        let device = value.device();
        let per_expert = |f: &dyn Fn(usize) -> f64| {
            let values: Vec<f32> = (0..inactive.len()).map(|expert| f(expert) as f32).collect();
            Tensor::<3>::from_data(TensorData::new(values, [1, inactive.len(), 1]), &device)
        };
        let step_size = per_expert(&|expert| rate * correction(beta_1, self.steps[expert]));
        let of_second = per_expert(&|expert| correction(beta_2, self.steps[expert]).sqrt());
        let change = first.clone() / (second.clone().sqrt() * of_second + epsilon) * step_size;
        let unchanged =
            per_expert(&|expert| f64::from(u8::from(inactive[expert]))).greater_scalar(0.5).expand(value.dims());
        let updated = value.clone() * decay - change;
        self.first = first.mask_where(unchanged.clone(), self.first.clone());
        self.second = second.mask_where(unchanged.clone(), self.second.clone());
        updated.mask_where(unchanged, value)
    }
}

/// Name and squared norm of every gradient, read off the device in one transfer.
fn squared_norms(model: &CausalLm, gradients: &GradientsParams) -> Vec<(String, f64)> {
    struct Squares<'a>(&'a GradientsParams, Vec<String>, Vec<Tensor<1>>);
    impl ParameterVisitor for Squares<'_> {
        fn visit<const D: usize>(&mut self, name: String, _kind: ParameterKind, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.0.get::<D>(param.id) {
                self.1.push(name);
                self.2.push(squares(gradient));
            }
        }
    }
    let mut found = Squares(gradients, Vec::new(), Vec::new());
    model.visit_parameters(&mut found);
    let Squares(_, names, parts) = found;
    if parts.is_empty() {
        return Vec::new();
    }
    let lengths: Vec<usize> = parts.iter().map(|parts| parts.dims()[0]).collect();
    let mut sums = floats(Tensor::cat(parts, 0).into_data()).into_iter();
    let of_parts = lengths.into_iter().map(|length| sums.by_ref().take(length).sum());
    names.into_iter().zip(of_parts).collect()
}
