//! Burn's linear as an adapted one, and back.

use super::{AdaptedLinear, frozen, is_quantized};
use burn::{
    module::{Param, ParamId},
    nn::Linear,
    tensor::Tensor,
};

/// Why weights do not make a linear.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinearError {
    /// The bias has another length than the linear has outputs.
    #[error(
        "a weight [d_out, d_in] of [{}, {}] has a bias of {bias} values, expected {}{}",
        weight[0], weight[1], weight[0],
        if *bias == weight[1] { "; is the weight in Burn's layout, [d_in, d_out]?" } else { "" }
    )]
    Bias {
        /// The shape of the weight.
        weight: [usize; 2],
        /// The length of the bias.
        bias: usize,
    },
    /// A linear of Burn cannot hold an adapter.
    #[error(
        "the linear has an adapter of the method {method}, which a burn::nn::Linear cannot hold; take it off first"
    )]
    Adapted {
        /// The method.
        method: &'static str,
    },
}

impl LinearError {
    /// # Errors
    /// The bias does not have as many values as the weight, `[d_out, d_in]`, has rows.
    pub(super) fn check(weight: &Tensor<2>, bias: Option<&Tensor<1>>) -> Result<(), Self> {
        let (weight, bias) = (weight.dims(), bias.map(|bias| bias.dims()[0]));
        match bias.filter(|bias| *bias != weight[0]) {
            None => Ok(()),
            Some(bias) => Err(Self::Bias { weight, bias }),
        }
    }
}

/// A frozen copy of a linear of Burn, whose weight is `[d_in, d_out]`, without an adapter. Its parameters keep their ids. A
/// quantised weight is dequantised: its blocks do not lie along the rows of the transposed one.
///
/// # Panics
/// The bias does not have as many values as the weight has columns, which no linear that Burn makes has.
impl From<Linear> for AdaptedLinear {
    fn from(linear: Linear) -> Self {
        let ids = (linear.weight.id, linear.bias.as_ref().map(|bias| bias.id));
        let mut adapted = Self::frozen(transposed(linear.weight.val()), linear.bias.map(|bias| detached(bias.val())));
        adapted.weight = with_id(adapted.weight, ids.0);
        adapted.bias = adapted.bias.zip(ids.1).map(|(bias, id)| with_id(bias, id));
        adapted
    }
}

/// The frozen weights as a linear of Burn, `[d_in, d_out]`. They stay frozen, until `Module::unfreeze`, and keep their
/// ids. A quantised weight is dequantised.
///
/// # Errors
/// The linear has an adapter.
impl TryFrom<AdaptedLinear> for Linear {
    type Error = LinearError;

    fn try_from(linear: AdaptedLinear) -> Result<Self, LinearError> {
        if let Some(adapter) = &linear.adapter {
            return Err(LinearError::Adapted { method: adapter.config().method.kind().name });
        }
        let weight = with_id(frozen(transposed(linear.weight.val())), linear.weight.id);
        Ok(Self { weight, bias: linear.bias })
    }
}

fn with_id<const D: usize>(param: Param<Tensor<D>>, id: ParamId) -> Param<Tensor<D>> {
    Param::initialized(id, param.val()).set_require_grad(false)
}

/// The values, row by row in memory as products read them, without a history of gradients.
fn transposed(weight: Tensor<2>) -> Tensor<2> {
    let weight = if is_quantized(&weight) { weight.dequantize() } else { weight };
    detached(weight.transpose())
}

fn detached<const D: usize>(values: Tensor<D>) -> Tensor<D> {
    let (device, dtype) = (values.device(), values.dtype());
    Tensor::from_data(values.into_data(), (&device, dtype))
}
