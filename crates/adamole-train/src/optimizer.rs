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

#[cfg(test)]
mod tests {
    use super::*;
    use adamole_core::{AdaMole, AdapterConfig};
    use adamole_llama::{AdapterLayout, ModelConfig, ParameterKind, ParameterVisitor, Precision, Targets};
    use burn::tensor::{Device, Distribution};
    use std::path::Path;

    fn model() -> CausalLm {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/base");
        let config = ModelConfig::from_folder(&folder).unwrap();
        let method = AdaMole { num_experts: 3.try_into().unwrap(), tau_max: None };
        let layout = AdapterConfig::new(method, 2, 4.0, 0.0).unwrap();
        let layout = AdapterLayout::uniform(layout, &Targets::attention(), &config).unwrap();
        let mut model = CausalLm::random_base(config, Precision::Float32, &Device::default().autodiff()).unwrap();
        model.adapt(&layout, 0);
        model
    }

    /// A random gradient for each parameter of the adapters.
    fn gradients(model: &CausalLm) -> GradientsParams {
        struct Random(GradientsParams);
        impl ParameterVisitor for Random {
            fn visit<const D: usize>(&mut self, _name: String, kind: ParameterKind, param: &Param<Tensor<D>>) {
                if kind == ParameterKind::Adapter {
                    let value = param.val().inner();
                    self.0.register(param.id, value.random_like(Distribution::Normal(0.0, 1.0)));
                }
            }
        }
        let mut random = Random(GradientsParams::new());
        model.visit_parameters(&mut random);
        random.0
    }

    /// The active tokens of every routed layer.
    fn active(model: &CausalLm, of_layer: [f32; 3]) -> ActiveTokens {
        let layers = vec![3; model.routed().len()];
        let tokens = Tensor::<1>::from_floats(of_layer, &model.device().inner()).repeat_dim(0, layers.len());
        ActiveTokens { layers, tokens: Some(tokens) }
    }

    fn clip_by(factor: f32, model: &CausalLm) -> Tensor<1> {
        Tensor::from_floats([factor], &model.device().inner())
    }

    fn values(model: &CausalLm) -> Vec<(String, TensorData)> {
        crate::adapter_values::AdapterValues::of(model).0.into_iter().collect()
    }

    #[test]
    fn a_step_that_is_not_finite_is_as_if_it_had_not_been() {
        let started = model();
        let [first, second] = [gradients(&started), gradients(&started)];
        let run = |with_bad_step: bool| {
            let (mut model, mut optimizer) = (started.clone(), AdamW::new(AdamWSettings::default()));
            let mut apply = |gradients: &GradientsParams, factor: f32| {
                let (clip, active) = (clip_by(factor, &started), active(&started, [3.0, 1.0, 2.0]));
                optimizer.apply(1e-2, &mut model, copied(&started, gradients), clip, active);
            };
            apply(&first, 0.5);
            if with_bad_step {
                apply(&second, f32::NAN);
            }
            apply(&second, 1.0);
            let moments = optimizer.moments(&model).into_iter();
            (values(&model), moments.map(|(name, it)| (name, it.first, it.second, it.steps)).collect::<Vec<_>>())
        };
        assert_ne!(run(false).0, values(&started));
        assert_eq!(run(true), run(false));
    }

    #[test]
    fn an_expert_without_tokens_rests() {
        let (started, mut optimizer) = (model(), AdamW::new(AdamWSettings::default()));
        let mut model = started.clone();
        for tokens in [[1.0, 0.0, 2.0], [0.0, 0.0, 1.0]] {
            let gradients = gradients(&started);
            optimizer.apply(1e-2, &mut model, gradients, clip_by(1.0, &started), active(&started, tokens));
        }
        let mut experts = 0;
        for (name, MomentsData { steps, first, .. }) in optimizer.moments(&model) {
            if name.ends_with(".a") || name.ends_with(".b") {
                let (first, [outer, _, inner]) = (first.try_to_vec::<f32>().unwrap(), first.shape().dims());
                let rests =
                    (0..outer).all(|o| first[(3 * o + 1) * inner..(3 * o + 2) * inner].iter().all(|it| *it == 0.0));
                assert_eq!((steps, rests), (vec![1, 0, 2], true), "{name}");
                experts += 1;
            } else {
                assert_eq!(steps, [2], "{name}");
            }
        }
        assert!(experts > 0);
    }

    #[test]
    fn the_device_clips_as_the_host_does() {
        let model = model();
        let (gradients, device) = (gradients(&model), model.device().inner());
        let norm = GradientNorm::of(&model, &gradients);
        let factor =
            |loss: f32, max: f32| -> f32 { norm.clip_beside(Tensor::from_floats([loss], &device), max).into_scalar() };
        let of_device = [factor(1.0, 2.0), factor(1.0, 1e9)];
        assert!(factor(f32::INFINITY, 2.0).is_nan() && factor(f32::NAN, 2.0).is_nan());
        let norm = norm.read().unwrap();
        let of_host = [clip(norm, 2.0), clip(norm, 1e9)];
        assert!(of_device.iter().zip(of_host).all(|(a, b)| (a / b - 1.0).abs() < 1e-6), "{of_device:?} {of_host:?}");
        assert_eq!((of_host[1], of_host[0] < 0.5), (1.0, true));
    }

    fn copied(model: &CausalLm, gradients: &GradientsParams) -> GradientsParams {
        struct Copied<'a>(&'a GradientsParams, GradientsParams);
        impl ParameterVisitor for Copied<'_> {
            fn visit<const D: usize>(&mut self, _name: String, _kind: ParameterKind, param: &Param<Tensor<D>>) {
                if let Some(gradient) = self.0.get::<D>(param.id) {
                    self.1.register(param.id, gradient);
                }
            }
        }
        let mut copied = Copied(gradients, GradientsParams::new());
        model.visit_parameters(&mut copied);
        copied.1
    }
}
