//! A frozen linear layer with an optional adapter.

use crate::{Adapter, AdapterConfig, Pass};
use adamole_kernels::linear_with_update;
use burn::{
    module::{Module, Param, ParamId},
    tensor::{DType, FloatDType, Tensor},
};

/// `y = x W^T (+ bias) (+ adapter(x))` with W and bias frozen: no gradient is computed or stored for them.
#[derive(Module, Debug)]
pub struct AdaptedLinear {
    /// `[d_out, d_in]`, the layout of Hugging Face files.
    pub weight: Param<Tensor<2>>,
    /// `[d_out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Present once [`AdaptedLinear::adapt`] was called.
    pub adapter: Option<Adapter>,
}

impl AdaptedLinear {
    /// Wraps frozen weights, `weight` of shape `[d_out, d_in]` and `bias` of shape `[d_out]`.
    pub fn frozen(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        Self { weight: frozen(weight), bias: bias.map(frozen), adapter: None }
    }

    /// Puts a fresh adapter on the layer, replacing any other; see [`Adapter::new`].
    pub fn adapt(&mut self, config: AdapterConfig, seed: &[u64]) {
        let [d_out, d_in] = self.weight.val().dims();
        self.adapter = Some(Adapter::new(config, d_in, d_out, seed, &self.weight.val().device()));
    }

    /// `[T, d_in]` to `[T, d_out]`.
    pub fn forward(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let weight = self.weight.val();
        let biased = |y: Tensor<2>| match &self.bias {
            None => y,
            Some(bias) => y + bias.val().unsqueeze::<2>(),
        };
        match &self.adapter {
            None => biased(x.matmul(weight.transpose())),
            Some(adapter) if weight.dtype() == DType::F32 => {
                let mixed = adapter.mixed(x.clone(), pass);
                biased(linear_with_update(x, weight, mixed, adapter.b.val()))
            }
            // The adapter is float32 whatever the frozen weights are, and the sum is rounded once.
            Some(adapter) => {
                let dtype = FloatDType::from(weight.dtype());
                let added = adapter.forward(x.clone().cast(FloatDType::F32), pass);
                (biased(x.matmul(weight.transpose())).cast(FloatDType::F32) + added).cast(dtype)
            }
        }
    }
}

fn frozen<const D: usize>(value: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), value).set_require_grad(false)
}
