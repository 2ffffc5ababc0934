//! The gated feed-forward block (Shazeer 2020).

use crate::Activation;
use adamole_core::{AdaptedLinear, Pass};
use burn::{
    module::Module,
    tensor::{
        Tensor,
        activation::{gelu, gelu_approximate, silu},
    },
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
    pub(crate) fn forward(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let gate = self.gate_proj.forward(x.clone(), pass);
        let gate = match self.activation {
            Activation::Silu => silu(gate),
            Activation::Gelu => gelu(gate),
            Activation::GeluTanh => gelu_approximate(gate),
        };
        let up = self.up_proj.forward(x, pass);
        self.down_proj.forward(gate * up, pass)
    }
}
