//! The gated feed-forward block (SwiGLU; Shazeer 2020).

use adamole_core::{AdaptedLinear, Pass};
use burn::{
    module::Module,
    tensor::{Tensor, activation::silu},
};

#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) gate_proj: AdaptedLinear,
    pub(crate) up_proj: AdaptedLinear,
    pub(crate) down_proj: AdaptedLinear,
}

impl Mlp {
    /// `[T, hidden]` to `[T, hidden]`.
    pub(crate) fn forward(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let gate = silu(self.gate_proj.forward(x.clone(), pass));
        let up = self.up_proj.forward(x, pass);
        self.down_proj.forward(gate * up, pass)
    }
}
