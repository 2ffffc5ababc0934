//! Plain LoRAs folded into the weights that they adapt.

use crate::{CausalLm, ModelError, precision::narrowed};
use adamole_core::AdaptedLinear;
use burn::tensor::{DType, Tensor};

/// The model with every adapter folded into its linear, `W + s B A`, and no adapter left.
///
/// # Errors
/// An adapter is a routed mixture: which experts it adds depends on the token, so that no single matrix does the same;
/// or a linear is quantised.
pub fn merge(mut model: CausalLm) -> Result<CausalLm, ModelError> {
    if let Some((linear, ..)) = model.routed().into_iter().next() {
        return Err(ModelError::NotMergeable { linear });
    }
    let quantized = |(_, linear): &(String, &AdaptedLinear)| matches!(linear.weight.val().dtype(), DType::QFloat(_));
    if let Some((linear, _)) = model.linears().into_iter().find(quantized) {
        return Err(ModelError::Quantized { linear });
    }
    for (_, linear) in model.linears_mut() {
        if let Some(adapter) = linear.adapter.take() {
            let update: Tensor<2> = adapter.b().matmul(adapter.a()) * adapter.config().scale();
            linear.weight = linear.weight.clone().map(|weight| {
                let update = if weight.is_autodiff() { update.detach() } else { update };
                weight.clone() + narrowed(update, weight.dtype())
            });
        }
    }
    Ok(model)
}
