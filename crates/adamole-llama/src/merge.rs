//! Plain LoRAs folded into the weights that they adapt.

use crate::{CausalLm, ModelError, precision::narrowed};
use adamole_core::AdaptedLinear;
use burn::tensor::Tensor;

/// The model with every adapter folded into its linear, `W + s B A`, and no adapter left.
///
/// # Errors
/// An adapter is a routed mixture: which experts it adds depends on the token, so that no single matrix does the same.
pub fn merge(mut model: CausalLm) -> Result<CausalLm, ModelError> {
    if let Some((linear, _)) = model.linears().into_iter().find(|(_, linear)| is_routed(linear)) {
        return Err(ModelError::NotMergeable { linear });
    }
    for (_, linear) in model.linears_mut() {
        if let Some(adapter) = linear.adapter.take() {
            let update: Tensor<2> = adapter.b.val().matmul(adapter.a.val()) * adapter.config().scale();
            linear.weight = linear.weight.clone().map(|weight| {
                let update = if weight.is_autodiff() { update.detach() } else { update };
                weight.clone() + narrowed(update, weight.dtype())
            });
        }
    }
    Ok(model)
}

fn is_routed(linear: &AdaptedLinear) -> bool {
    linear.adapter.as_ref().is_some_and(|adapter| adapter.router().is_some())
}
