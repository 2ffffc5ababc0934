//! AdamW with clipping by norm.

use crate::{
    CheckpointDamage, NotFinite, RoutingStatistics,
    expert_counts::{Place, Places},
    gradient_norm::{GradientNorm, clip},
    routing::floats,
    unread_routing::ActiveTokens,
};
use adamole_kernels::{AdamWStep, adamw};
use adamole_llama::{CausalLm, Parameter};
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
    /// Running means of the gradient and its square, `[outer, experts, inner]`.
    moments: HashMap<ParamId, [Tensor<3>; 2]>,
    /// The steps that each expert has taken, at its [`Place`]; `None` before the first.
    taken: Option<Tensor<1>>,
}

/// The moments of a parameter and the steps of its experts, off the device.
#[derive(Debug)]
pub(crate) struct MomentsData {
    pub(crate) first: TensorData,
    pub(crate) second: TensorData,
    pub(crate) steps: Vec<u32>,
}

impl AdamW {
    /// An optimizer without state yet.
    pub fn new(settings: AdamWSettings) -> Self {
        Self { settings, moments: HashMap::new(), taken: None }
    }

    /// The state, by the names of the model's parameters.
    pub(crate) fn moments(&self, model: &CausalLm) -> Vec<(String, MomentsData)> {
        let places = Places::of(model);
        let taken = self.taken.clone().map(|taken| floats(taken.into_data())).unwrap_or_default();
        let state = |Parameter { name, id, .. }| {
            let ([first, second], place) = self.moments.get(&id).zip(places.get(id))?;
            let steps = taken.get(place.counts())?.iter().map(|steps| *steps as u32).collect();
            Some((name, MomentsData { first: first.to_data(), second: second.to_data(), steps }))
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
        let (device, places) = (model.device().inner(), Places::of(model));
        let (mut resumed, mut unfit) = (Self::new(settings), Vec::new());
        let mut taken = vec![0.0; places.count()];
        for Parameter { name, id, elements, .. } in model.parameters() {
            let Some(MomentsData { first, second, steps }) = moments.remove(&name) else { continue };
            let (shape, place) = (first.shape().to_vec(), places.get(id));
            let place = place.filter(|place| {
                shape == [place.outer, place.experts, elements / (place.outer * place.experts)]
                    && second.shape().to_vec() == shape
                    && steps.len() == place.experts
            });
            let Some(place) = place else {
                unfit.push(name);
                continue;
            };
            let place_on_device = |data| Tensor::<3>::from_data(data, &device);
            resumed.moments.insert(id, [first, second].map(place_on_device));
            taken[place.counts()].iter_mut().zip(steps).for_each(|(taken, steps)| *taken = steps as f32);
        }
        unfit.extend(moments.into_keys());
        resumed.taken = (!resumed.moments.is_empty()).then(|| Tensor::from_floats(taken.as_slice(), &device));
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
        let (norm, device) = (GradientNorm::of(model, &gradients).read()?, model.device().inner());
        let clip = Tensor::from_floats([clip(norm, self.settings.max_grad_norm)], &device);
        self.apply(rate, model, gradients, clip, ActiveTokens::on_device(routing, &device));
        Ok(norm)
    }

    /// [`Self::step`] with gradients that `clip`, `[1]`, multiplies. Nothing changes where it is not a number.
    pub(crate) fn apply(
        &mut self,
        rate: f64,
        model: &mut CausalLm,
        gradients: GradientsParams,
        clip: Tensor<1>,
        active: ActiveTokens,
    ) {
        let (places, rates) = (Places::of(model), rates(model, rate, self.settings.rate_ratio_of_b));
        let moves = places.moves(model, &gradients, active, &clip);
        let taken = match self.taken.take() {
            Some(taken) => taken + moves.clone(),
            None => moves.clone(),
        };
        // Below zero for experts that rest.
        let counts = taken.clone() * (moves * 2.0 - 1.0);
        self.taken = Some(taken);
        let (settings, moments) = (self.settings, &mut self.moments);
        let mut update = Update { settings, rate, rates, places, gradients, clip, counts, moments };
        *model = model.clone().map(&mut update).tied();
    }
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
    places: Places,
    gradients: GradientsParams,
    clip: Tensor<1>,
    counts: Tensor<1>,
    moments: &'a mut HashMap<ParamId, [Tensor<3>; 2]>,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        let Some((gradient, place)) = self.gradients.remove::<D>(id).zip(self.places.get(id)) else { return param };
        param.map(|value| {
            let shape = value.shape();
            let (tracked, value) = if value.is_autodiff() { (true, value.inner()) } else { (false, value) };
            let view = [place.outer, place.experts, shape.num_elements() / (place.outer * place.experts)];
            let zeros = || Tensor::zeros(view, &value.device());
            let moments = self.moments.remove(&id).unwrap_or_else(|| [zeros(), zeros()]);
            let (clip, counts, step) = (self.clip.clone(), self.counts.clone(), self.step(id, place));
            let (value, gradient) = (value.reshape(view), gradient.reshape(view));
            let [updated, first, second] = adamw(value, gradient, moments, clip, counts, step);
            self.moments.insert(id, [first, second]);
            let updated = updated.reshape(shape);
            if tracked { Tensor::from_inner(updated).require_grad() } else { updated }
        })
    }
}

impl Update<'_> {
    /// The numbers of the step of a parameter.
    fn step(&self, id: ParamId, place: Place) -> AdamWStep {
        let AdamWSettings { beta_1, beta_2, epsilon, weight_decay, .. } = self.settings;
        let [beta_1, beta_2, epsilon, weight_decay] = [beta_1, beta_2, epsilon, weight_decay].map(f64::from);
        let rate = self.rates.get(&id).copied().unwrap_or(self.rate);
        AdamWStep { beta_1, beta_2, rate, epsilon, decay: 1.0 - rate * weight_decay, first_count: place.first }
    }
}
