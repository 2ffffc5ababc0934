//! The gated feed-forward block (Shazeer 2020).

use crate::Activation;
use adamole_core::{AdaptedLinear, ForwardContext};
use adamole_kernels::{geglu, swiglu};
use burn::{
    module::Module,
    tensor::{Tensor, activation::gelu},
};

#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) gate_proj: AdaptedLinear,
    pub(crate) up_proj: AdaptedLinear,
    pub(crate) down_proj: AdaptedLinear,
    #[module(skip)]
    pub(crate) activation: Activation,
}

impl Mlp {
    /// `[T, hidden]` to `[T, hidden]`.
    pub(crate) fn forward(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        self.down_proj.forward(self.gated(x, context), context)
    }

    /// What the last product takes: `[T, hidden]` to `[T, intermediate]`.
    pub(crate) fn gated(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        let gate = self.gate_proj.forward(x.clone(), context);
        let up = self.up_proj.forward(x, context);
        match self.activation {
            Activation::Silu => swiglu(gate, up),
            Activation::Gelu => gelu(gate) * up,
            Activation::GeluTanh => geglu(gate, up),
        }
    }
}
