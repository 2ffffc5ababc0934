//! The fused parameters of an adapter, taken apart into the tensors of the published file format and put together
//! again. Values and gradients go the same way.

use adamole_core::{Adapter, AdapterConfig, Method};
use burn::{
    module::Param,
    optim::GradientsParams,
    tensor::{Tensor, TensorData},
};

/// The tensors of one adapter, values or gradients; absent where the adapter has none.
#[derive(Debug, Clone)]
pub struct AdapterTensors {
    num_experts: usize,
    gated: bool,
    /// `[N r, d_in]`.
    pub a: Option<Tensor<2>>,
    /// `[d_out, N r]`.
    pub b: Option<Tensor<2>>,
    /// `[N, d_in]`.
    pub gate: Option<Tensor<2>>,
    /// `[1, d_in]`.
    pub threshold_weight: Option<Tensor<2>>,
    /// `[1]`.
    pub threshold_bias: Option<Tensor<1>>,
}

impl AdapterTensors {
    /// The adapter's values.
    pub fn values(adapter: &Adapter) -> Self {
        Self {
            num_experts: adapter.config().num_experts(),
            gated: adapter.gate.is_some(),
            a: Some(adapter.a.val()),
            b: Some(adapter.b.val()),
            gate: adapter.gate.as_ref().map(|p| p.val()),
            threshold_weight: adapter.threshold.as_ref().map(|t| t.weight.val()),
            threshold_bias: adapter.threshold.as_ref().map(|t| t.bias.val()),
        }
    }

    /// The gradients of a backward pass that reached this adapter.
    pub fn gradients(adapter: &Adapter, gradients: &GradientsParams) -> Self {
        fn of<const D: usize>(gradients: &GradientsParams, param: &Param<Tensor<D>>) -> Option<Tensor<D>> {
            gradients.get(param.id)
        }
        Self {
            a: of(gradients, &adapter.a),
            b: of(gradients, &adapter.b),
            gate: adapter.gate.as_ref().and_then(|p| of(gradients, p)),
            threshold_weight: adapter.threshold.as_ref().and_then(|t| of(gradients, &t.weight)),
            threshold_bias: adapter.threshold.as_ref().and_then(|t| of(gradients, &t.bias)),
            ..Self::values(adapter)
        }
    }

    /// The tensors under their published keys, relative to the linear: `lora_A.0.weight` `[r, d_in]`,
    /// `lora_B.0.weight` `[d_out, r]`, `lora_gating.weight`, `lora_threshold.weight`, `lora_threshold.bias`; a plain
    /// LoRA has `lora_A.weight` and `lora_B.weight`.
    pub fn split(self) -> Vec<(String, TensorData)> {
        let experts = self.num_experts;
        let mut tensors = Vec::new();
        let mut bank = |letter: char, stacked: Option<Tensor<2>>, dim: usize| {
            for (i, part) in stacked.into_iter().flat_map(|t| t.chunk(experts, dim)).enumerate() {
                tensors.push((expert_key(letter, self.gated.then_some(i)), part.into_data()));
            }
        };
        bank('A', self.a, 0);
        bank('B', self.b, 1);
        tensors.extend(self.gate.map(|t| ("lora_gating.weight".to_owned(), t.into_data())));
        tensors.extend(self.threshold_weight.map(|t| ("lora_threshold.weight".to_owned(), t.into_data())));
        tensors.extend(self.threshold_bias.map(|t| ("lora_threshold.bias".to_owned(), t.into_data())));
        tensors
    }
}

/// The keys of [`AdapterTensors::split`] and their shapes, for an adapter of these settings on a linear `[d_out, d_in]`.
pub(crate) fn shapes(config: &AdapterConfig, [d_out, d_in]: [usize; 2]) -> Vec<(String, Vec<usize>)> {
    let (experts, rank) = (config.num_experts(), config.rank.get());
    let is_gated = config.method != Method::Lora;
    let numbers = (0..experts).map(|i| is_gated.then_some(i));
    let mut shapes: Vec<(String, Vec<usize>)> = numbers
        .flat_map(|i| [(expert_key('A', i), vec![rank, d_in]), (expert_key('B', i), vec![d_out, rank])])
        .collect();
    if is_gated {
        shapes.push(("lora_gating.weight".to_owned(), vec![experts, d_in]));
    }
    if matches!(config.method, Method::AdaMole { .. }) {
        shapes.push(("lora_threshold.weight".to_owned(), vec![1, d_in]));
        shapes.push(("lora_threshold.bias".to_owned(), vec![1]));
    }
    shapes
}

/// Replaces an adapter's values by tensors looked up by their published keys; shapes have been checked.
pub(crate) fn join<E>(adapter: &mut Adapter, mut lookup: impl FnMut(&str) -> Result<TensorData, E>) -> Result<(), E> {
    let device = adapter.a.val().device();
    let gated = adapter.gate.is_some();
    let experts = adapter.config().num_experts();
    let mut bank = |letter: char, dim: usize| {
        let parts = (0..experts)
            .map(|i| Ok(Tensor::<2>::from_data(lookup(&expert_key(letter, gated.then_some(i)))?, &device)))
            .collect::<Result<Vec<_>, E>>()?;
        Ok(Tensor::cat(parts, dim))
    };
    let (a, b) = (bank('A', 0)?, bank('B', 1)?);
    set(&mut adapter.a, a);
    set(&mut adapter.b, b);
    if let Some(gate) = &mut adapter.gate {
        set(gate, Tensor::from_data(lookup("lora_gating.weight")?, &device));
    }
    if let Some(threshold) = &mut adapter.threshold {
        set(&mut threshold.weight, Tensor::from_data(lookup("lora_threshold.weight")?, &device));
        set(&mut threshold.bias, Tensor::from_data(lookup("lora_threshold.bias")?, &device));
    }
    Ok(())
}

fn expert_key(letter: char, expert: Option<usize>) -> String {
    match expert {
        Some(i) => format!("lora_{letter}.{i}.weight"),
        None => format!("lora_{letter}.weight"),
    }
}

fn set<const D: usize>(param: &mut burn::module::Param<Tensor<D>>, value: Tensor<D>) {
    *param = burn::module::Param::initialized(param.id, value).set_require_grad(true);
}
