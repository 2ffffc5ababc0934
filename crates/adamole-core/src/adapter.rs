//! An adapter: a bank of LoRA experts as one low-rank pair, and the gate that weights them.

use crate::{
    AdapterShape, CounterRng, ForwardContext, Method, ParameterSpec, ParameterValue, Probability, Rank, SettingError,
    SharedParameters, router::RouterInput, setting::recorded,
};
use adamole_kernels::{Dropout, adapter_input, weighted_experts};
use burn::tensor::{Device, Tensor, TensorData};
use serde_json::Value;
use std::sync::Arc;

pub(crate) mod module;

/// What sits on one adapted linear.
#[derive(Debug, Clone)]
pub struct AdapterConfig {
    /// Which experts there are, and how tokens choose among them.
    pub method: Arc<dyn Method>,
    /// Rank of ONE expert; N experts of rank r hold the parameters of one LoRA of rank N r.
    pub rank: Rank,
    /// Numerator of the scale, alpha / r unless the method says otherwise.
    pub alpha: f32,
    /// Dropout on the input of the experts (never on the gate's), in training only.
    pub dropout: Probability,
}

impl PartialEq for AdapterConfig {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |it: &Self| (it.rank, it.alpha, it.dropout);
        *self.method == *other.method && numbers(self) == numbers(other)
    }
}

impl AdapterConfig {
    /// A method with experts of this rank.
    ///
    /// # Errors
    /// A number is out of its range.
    pub fn new(method: impl Method + 'static, rank: usize, alpha: f32, dropout: f32) -> Result<Self, SettingError> {
        Self::with_method(Arc::new(method), rank, alpha, dropout)
    }

    /// The same for a method whose type is known at run time.
    ///
    /// # Errors
    /// A number is out of its range.
    pub fn with_method(method: Arc<dyn Method>, rank: usize, alpha: f32, dropout: f32) -> Result<Self, SettingError> {
        Ok(Self { method, rank: rank.try_into()?, alpha, dropout: dropout.try_into()? })
    }

    /// N; 1 for a plain LoRA.
    pub fn num_experts(&self) -> usize {
        self.method.num_experts()
    }

    /// s = alpha / r, with r the rank of one expert; alpha / sqrt(r) for a rank-stabilised LoRA.
    pub fn scale(&self) -> f32 {
        (f64::from(self.alpha) / self.method.scale_divisor(self.rank.get())) as f32
    }

    /// The scale on a linear with so many inputs: that of [`AdapterConfig::scale`] unless the method has its own.
    pub fn scale_on(&self, d_in: usize) -> f32 {
        self.method.fixed_scale(self.rank.get(), d_in).map_or_else(|| self.scale(), |scale| scale as f32)
    }

    /// The config of `times` the rank at the same scale.
    pub fn widened(&self, times: usize) -> Self {
        let divisor = |rank| self.method.scale_divisor(rank);
        let (rank, wide) = (self.rank.get(), self.rank.get() * times);
        let alpha = self.alpha * (divisor(wide) / divisor(rank)) as f32;
        Self { rank: wide.try_into().unwrap_or(self.rank), alpha, ..self.clone() }
    }

    /// What it computes, as JSON: the method and its settings, rank and alpha.
    pub(crate) fn description(&self) -> Value {
        let settings = self.method.settings().with("rank", self.rank.get()).with("alpha", recorded(&self.alpha));
        Value::Object(settings.with("method", self.method.kind().name).into())
    }

    /// The parameters of an adapter on a linear from `d_in` to `d_out`.
    pub fn parameters(&self, d_in: usize, d_out: usize) -> Vec<ParameterSpec> {
        self.method.parameters(AdapterShape { rank: self.rank.get(), d_in, d_out })
    }
}

/// N experts of rank r on one linear layer from `d_in` to `d_out`.
///
/// All experts together are one pair of matrices, A `[N r, d_in]` and B `[d_out, N r]`, so a mixture costs what one LoRA
/// of rank `N r` costs, and the gate and threshold rows share one more product:
/// `y = ((x A^T) * repeat(w, r) * s) B^T` with `w` the router's weights.
#[derive(Debug, Clone)]
pub struct Adapter {
    parameters: Vec<(ParameterSpec, ParameterValue)>,
    config: AdapterConfig,
}

impl Adapter {
    /// A new adapter, which changes nothing at first where B starts at 0.
    ///
    /// The values are a function of `seed` alone. Parameters are trainable once the device is an autodiff one.
    pub fn new(config: AdapterConfig, d_in: usize, d_out: usize, seed: &[u64], device: &Device) -> Self {
        let mut rng = CounterRng::new(seed);
        let specs = config.parameters(d_in, d_out).into_iter();
        let parameters = specs.map(|spec| {
            let value = ParameterValue::initial(&spec, &mut rng, device);
            (spec, value)
        });
        Self { parameters: parameters.collect(), config }
    }

    /// The settings this adapter was made with.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// Its parameters, in the order of the method.
    pub fn parameters(&self) -> impl Iterator<Item = (&ParameterSpec, &ParameterValue)> {
        self.parameters.iter().map(|(spec, value)| (spec, value))
    }

    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&ParameterValue> {
        self.parameters.iter().find(|(spec, _)| spec.name == name).map(|(_, value)| value)
    }

    /// Replaces the values of a parameter, which keeps its identity.
    ///
    /// # Panics
    /// The adapter has no parameter of this name and shape.
    pub fn set(&mut self, name: &str, values: TensorData) {
        let found = self.parameters.iter_mut().find(|(spec, _)| spec.name == name && spec.shape == **values.shape());
        let Some((spec, value)) = found else {
            panic!("an adapter has no parameter {name} of shape {:?}", values.shape())
        };
        value.set(values, spec.trained);
    }

    /// Takes the shared parameters of the first adapter with as many inputs, or adds its own where it is the first.
    pub fn tie(&mut self, first: &mut SharedParameters) {
        if self.parameters.iter().all(|(spec, _)| !spec.shared) {
            return;
        }
        let d_in = self.a().dims()[1];
        for (spec, value) in self.parameters.iter_mut().filter(|(spec, _)| spec.shared) {
            *value = first.0.entry(spec.identity(d_in)).or_insert_with(|| value.clone()).clone();
        }
    }

    /// A matrix of the method's.
    ///
    /// # Panics
    /// The method has none of this name.
    pub fn matrix(&self, name: &str) -> Tensor<2> {
        match self.parameter(name) {
            Some(ParameterValue::Matrix(param)) => param.val(),
            _ => panic!("the method {} has no matrix {name}", self.config.method.kind().name),
        }
    }

    /// A vector of the method's.
    ///
    /// # Panics
    /// The method has none of this name.
    pub fn vector(&self, name: &str) -> Tensor<1> {
        match self.parameter(name) {
            Some(ParameterValue::Vector(param)) => param.val(),
            _ => panic!("the method {} has no vector {name}", self.config.method.kind().name),
        }
    }

    /// A: what the experts take from the input, `[N r, d_in]`; expert i has rows `i r .. (i + 1) r`.
    pub fn a(&self) -> Tensor<2> {
        self.matrix("a")
    }

    /// B: what takes it to the output, `[d_out, N r]`; expert i has columns `i r .. (i + 1) r`.
    pub fn b(&self) -> Tensor<2> {
        self.matrix("b")
    }

    /// What the adapter adds to the frozen layer's output: `[T, d_in]` to `[T, d_out]`.
    pub fn forward(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        self.inner(x, context).matmul(self.outer().transpose())
    }

    /// The scale of its experts.
    pub fn scale(&self) -> f32 {
        self.config.scale_on(self.a().dims()[1])
    }

    /// What takes the result of [`Adapter::inner`] to the output, `[d_out, K]`.
    pub(crate) fn outer(&self) -> Tensor<2> {
        self.config.method.outer(self)
    }

    /// What [`Adapter::outer`] takes to the output: `[T, d_in]` to `[T, K]`.
    pub(crate) fn inner(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        self.config.method.inner(self, x, context)
    }

    /// The experts' inner activations `A x`, weighted by the router and scaled: `[T, d_in]` to `[T, N r]`.
    pub fn weighted_experts(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        let number = context.enter_adapter();
        let hidden = self.hidden(&x, number, context);
        self.weighted(hidden, &x, number, context)
    }

    /// The experts' inner activations `A x` of the adapter with this number in the pass: `[T, d_in]` to `[T, N r]`.
    pub(crate) fn hidden(&self, x: &Tensor<2>, number: usize, context: &ForwardContext) -> Tensor<2> {
        let dropout = context.input_dropout(self.config.dropout, number, self.config.num_experts());
        match dropout.as_deref() {
            Some(dropouts @ [_, _, ..]) => self.hidden_apart(x, dropouts),
            dropouts => {
                self.for_all_experts(adapter_input(x.clone(), self.a(), dropouts.and_then(|d| d.first().copied())))
            }
        }
    }

    /// The experts' inner activations `[T, N r]`, weighted by the router's decision on `x` and scaled.
    pub fn weighted(&self, hidden: Tensor<2>, x: &Tensor<2>, number: usize, context: &mut ForwardContext) -> Tensor<2> {
        let scale = self.scale();
        match self.route(x, number, context) {
            Some(weights) => weighted_experts(hidden, weights, scale),
            None => hidden * scale,
        }
    }

    /// The weights of the experts, `[T, N]`, of the adapter with this number in the pass: the router's decision on `x`,
    /// which the context records. `None` without a router.
    pub fn route(&self, x: &Tensor<2>, number: usize, context: &mut ForwardContext) -> Option<Tensor<2>> {
        let method = &self.config.method;
        method.router()?;
        let mut gate: Vec<Tensor<2>> = method.gate_parameters().iter().map(|name| self.matrix(name)).collect();
        let gate = if gate.len() == 1 { gate.remove(0) } else { Tensor::cat(gate, 0) };
        self.decide(adapter_input(x.clone(), gate, None), x, number, context)
    }

    /// [`Adapter::route`] by these logits.
    pub fn decide(
        &self,
        logits: Tensor<2>,
        x: &Tensor<2>,
        number: usize,
        context: &mut ForwardContext,
    ) -> Option<Tensor<2>> {
        let (method, num_experts) = (&self.config.method, self.config.num_experts());
        let router = method.router()?;
        let [rows, _] = logits.dims();
        let mask = |p| context.gate_mask(p, number, [rows, num_experts], &logits.device());
        let gate_mask = router.gate_dropout().and_then(mask);
        let rows = context.rows(rows);
        let routing = router.route(&RouterInput { x, logits, adapter: self, gate_mask, rows: &rows });
        context.record(method, &rows, &routing);
        Some(routing.weights)
    }

    /// Whether the experts have one A.
    fn shares_a(&self) -> bool {
        self.config.num_experts() > 1 && self.a().dims()[0] == self.config.rank.get()
    }

    /// `A x` once for every expert, `[T, N r]`.
    fn for_all_experts(&self, hidden: Tensor<2>) -> Tensor<2> {
        if self.shares_a() { Tensor::cat(vec![hidden; self.config.num_experts()], 1) } else { hidden }
    }

    /// The experts' inner activations `[T, N r]` where each drops its input by a mask of its own.
    fn hidden_apart(&self, x: &Tensor<2>, dropouts: &[Dropout]) -> Tensor<2> {
        let (a, rank, shared) = (self.a(), self.config.rank.get(), self.shares_a());
        let d_in = a.dims()[1];
        let of_expert = |i: usize| match shared {
            true => a.clone(),
            false => a.clone().slice([i * rank..(i + 1) * rank, 0..d_in]),
        };
        let experts = dropouts.iter().enumerate();
        let products = experts.map(|(i, dropout)| adapter_input(x.clone(), of_expert(i), Some(*dropout)));
        Tensor::cat(products.collect(), 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AdaMole;

    #[test]
    fn each_expert_has_its_own_mask_or_all_have_one() -> Result<(), SettingError> {
        let device = Device::default();
        let method = AdaMole { num_experts: 3.try_into()?, tau_max: None };
        let adapter = Adapter::new(AdapterConfig::new(method, 2, 1.0, 0.0)?, 5, 4, &[1], &device);
        let x = Tensor::from_data(TensorData::new(CounterRng::new(&[2]).uniform(35, 1.0), [7, 5]), &device);
        let same = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().max().into_scalar::<f32>() < 1e-6;
        let (one, other) = (Dropout::new(1, 0.5), Dropout::new(2, 0.5));
        let with = |dropout| adapter_input(x.clone(), adapter.a(), Some(dropout));
        let apart = |dropouts: [Dropout; 3]| adapter.hidden_apart(&x, &dropouts);
        assert!(same(apart([one; 3]), with(one)));
        let mixed = apart([one, other, one]);
        let expert = |t: Tensor<2>, i: usize| t.slice([0..7, 2 * i..2 * i + 2]);
        assert!(same(expert(mixed.clone(), 0), expert(with(one), 0)));
        assert!(same(expert(mixed.clone(), 1), expert(with(other), 1)));
        assert!(!same(expert(mixed, 1), expert(with(one), 1)));
        Ok(())
    }
}
