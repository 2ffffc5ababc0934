//! A bank of LoRA experts as one low-rank pair, with the gate that weighs them.

use crate::{
    AdapterConfig, CounterRng, ForwardContext,
    router::{self, Router, RouterInput},
};
use adamole_kernels::{Dropout, adapter_input, gate_scores, weighted_experts};
use burn::{
    module::{Module, Param, ParamId},
    tensor::{Device, Tensor, TensorData},
};
use std::sync::Arc;

/// The learned threshold of AdaMoLE: one linear unit on the layer's input.
#[derive(Module, Debug)]
pub struct Threshold {
    /// `[1, d_in]`.
    pub weight: Param<Tensor<2>>,
    /// `[1]`.
    pub bias: Param<Tensor<1>>,
}

/// N experts of rank r on one linear layer from `d_in` to `d_out`.
///
/// All experts together are one pair of matrices, so a mixture costs what one LoRA of rank `N r` costs, and the
/// gate and threshold rows ride in the same product:
/// `y = ((x A^T) * repeat(w, r) * s) B^T` with `w` the router's weights.
#[derive(Module, Debug)]
pub struct Adapter {
    /// The experts' A stacked, `[N r, d_in]`: expert i holds rows `i r .. (i + 1) r`.
    pub a: Param<Tensor<2>>,
    /// The experts' B side by side, `[d_out, N r]`: expert i holds columns `i r .. (i + 1) r`.
    pub b: Param<Tensor<2>>,
    /// The gate, `[N, d_in]`, without bias; absent for a plain LoRA.
    pub gate: Option<Param<Tensor<2>>>,
    /// The learned threshold, for routers that take one.
    pub threshold: Option<Threshold>,
    #[module(skip)]
    config: AdapterConfig,
    #[module(skip)]
    router: Option<Arc<dyn Router>>,
}

impl Adapter {
    /// A new adapter: A, gate and threshold uniform in `+-1/sqrt(d_in)` (Kaiming uniform with a = sqrt 5, as
    /// published; the paper's text says Gaussian), B zero, so that it changes nothing at first.
    ///
    /// The values are a function of `seed` alone. Parameters are trainable once the device is an autodiff one.
    pub fn new(config: AdapterConfig, d_in: usize, d_out: usize, seed: &[u64], device: &Device) -> Self {
        Self::build(config, router::for_config(&config), d_in, d_out, seed, device)
    }

    /// [`Adapter::new`] with a router of one's own in place of the method's; the method still says how many experts
    /// there are.
    pub fn with_router(
        config: AdapterConfig,
        router: Arc<dyn Router>,
        d_in: usize,
        d_out: usize,
        seed: &[u64],
        device: &Device,
    ) -> Self {
        Self::build(config, Some(router), d_in, d_out, seed, device)
    }

    fn build(
        config: AdapterConfig,
        router: Option<Arc<dyn Router>>,
        d_in: usize,
        d_out: usize,
        seed: &[u64],
        device: &Device,
    ) -> Self {
        let mut rng = CounterRng::new(seed);
        let bound = 1.0 / (d_in as f32).sqrt();
        let width = config.num_experts() * config.rank.get();
        let mut uniform =
            |rows: usize| Tensor::from_data(TensorData::new(rng.uniform(rows * d_in, bound), [rows, d_in]), device);
        let a = uniform(width);
        let gate = router.is_some().then(|| uniform(config.num_experts()));
        let threshold_weight = router.as_ref().filter(|r| r.learns_threshold()).map(|_| uniform(1));
        let bias = Tensor::from_data(TensorData::new(rng.uniform(1, bound), [1]), device);
        Self {
            a: trainable(a),
            b: trainable(Tensor::zeros([d_out, width], device)),
            gate: gate.map(trainable),
            threshold: threshold_weight.map(|w| Threshold { weight: trainable(w), bias: trainable(bias) }),
            config,
            router,
        }
    }

    /// The settings this adapter was made with.
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// The router; `None` for a plain LoRA.
    pub fn router(&self) -> Option<&dyn Router> {
        self.router.as_deref()
    }

    /// What the adapter adds to the frozen layer's output: `[T, d_in]` to `[T, d_out]`.
    pub fn forward(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        self.mixed(x, context).matmul(self.b.val().transpose())
    }

    /// The experts' inner activations, weighted and scaled, which B takes to the output: `[T, d_in]` to `[T, N r]`.
    pub(crate) fn mixed(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        let site = context.enter_site();
        let num_experts = self.config.num_experts();
        let dropout = context.input_dropout(self.config.dropout, site, num_experts);
        let hidden = match dropout.as_deref() {
            Some(dropouts @ [_, _, ..]) => self.hidden_apart(&x, dropouts),
            dropouts => adapter_input(x.clone(), self.a.val(), dropouts.and_then(|d| d.first().copied())),
        };
        let (Some(gate), Some(router)) = (&self.gate, &self.router) else { return hidden * self.config.scale() };

        let (gate, threshold_bias) = match &self.threshold {
            Some(threshold) => (Tensor::cat(vec![gate.val(), threshold.weight.val()], 0), Some(threshold.bias.val())),
            None => (gate.val(), None),
        };
        let scores = gate_scores(adapter_input(x, gate, None), threshold_bias);
        let [rows, _] = scores.dims();
        let shape = [rows, num_experts];
        let gate_mask = router.gate_dropout().and_then(|p| context.gate_mask(p, site, shape, &scores.device()));
        let rows = context.rows(rows);
        let input = RouterInput { scores, num_experts, gate_mask, rows: &rows, training: context.is_training() };
        let routing = router.route(&input);
        context.record(router.as_ref(), &input, &routing);
        weighted_experts(hidden, routing.weights, self.config.scale())
    }

    /// The experts' inner activations `[T, N r]` where each drops its input by a mask of its own.
    fn hidden_apart(&self, x: &Tensor<2>, dropouts: &[Dropout]) -> Tensor<2> {
        let a = self.a.val();
        let [width, d_in] = a.dims();
        let rank = width / dropouts.len();
        let experts = dropouts.iter().enumerate();
        let products = experts.map(|(i, dropout)| {
            adapter_input(x.clone(), a.clone().slice([i * rank..(i + 1) * rank, 0..d_in]), Some(*dropout))
        });
        Tensor::cat(products.collect(), 1)
    }
}

fn trainable<const D: usize>(value: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), value).set_require_grad(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Method;

    #[test]
    fn each_expert_has_its_own_mask_or_all_have_one() {
        let device = Device::default();
        let method = Method::AdaMole { num_experts: 3.try_into().expect("valid"), tau_max: None };
        let (rank, dropout) = (2.try_into().expect("valid"), 0.0.try_into().expect("valid"));
        let adapter = Adapter::new(AdapterConfig { method, rank, alpha: 1.0, dropout }, 5, 4, &[1], &device);
        let x = Tensor::from_data(TensorData::new(CounterRng::new(&[2]).uniform(35, 1.0), [7, 5]), &device);
        let same = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().max().into_scalar::<f32>() < 1e-6;
        let (one, other) = (Dropout::new(1, 0.5), Dropout::new(2, 0.5));
        let with = |dropout| adapter_input(x.clone(), adapter.a.val(), Some(dropout));
        let apart = |dropouts: [Dropout; 3]| adapter.hidden_apart(&x, &dropouts);
        assert!(same(apart([one; 3]), with(one)));
        let mixed = apart([one, other, one]);
        let expert = |t: Tensor<2>, i: usize| t.slice([0..7, 2 * i..2 * i + 2]);
        assert!(same(expert(mixed.clone(), 0), expert(with(one), 0)));
        assert!(same(expert(mixed.clone(), 1), expert(with(other), 1)));
        assert!(!same(expert(mixed, 1), expert(with(one), 1)));
    }
}
