//! A frozen linear layer with an optional adapter.

use crate::{Adapter, AdapterConfig, Pass};
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
        let mut y = x.clone().matmul(self.weight.val().transpose());
        if let Some(bias) = &self.bias {
            y = y + bias.val().unsqueeze::<2>();
        }
        let Some(adapter) = &self.adapter else { return y };
        // The adapter is float32 whatever the frozen weights are, and the sum is rounded once.
        match y.dtype() {
            DType::F32 => y + adapter.forward(x, pass),
            dtype => {
                let added = adapter.forward(x.cast(FloatDType::F32), pass);
                (y.cast(FloatDType::F32) + added).cast(FloatDType::from(dtype))
            }
        }
    }
}

fn frozen<const D: usize>(value: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), value).set_require_grad(false)
}
