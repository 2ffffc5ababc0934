//! The parameters of an adapter as the tensors of adapter files, and back. Values and gradients go the same way.

use adamole_core::{Adapter, AdapterConfig, ParameterSpec, ParameterValue};
use burn::{
    optim::GradientsParams,
    tensor::{Tensor, TensorData},
};

/// The adapter's values under their keys in files, relative to the linear: `lora_A.0.weight` `[r, d_in]`,
/// `lora_B.0.weight` `[d_out, r]`, `lora_gating.weight`, `lora_threshold.weight`, `lora_threshold.bias`; a plain LoRA has
/// `lora_A.weight` and `lora_B.weight`.
pub fn adapter_tensors(adapter: &Adapter) -> Vec<(String, TensorData)> {
    let parts = adapter.parameters().flat_map(|(spec, value)| match value {
        ParameterValue::Vector(param) => split(spec, param.val()),
        ParameterValue::Matrix(param) => split(spec, param.val()),
    });
    parts.collect()
}

/// The gradients of a backward pass that reached this adapter, under the keys of [`adapter_tensors`].
pub fn adapter_gradients(adapter: &Adapter, gradients: &GradientsParams) -> Vec<(String, TensorData)> {
    let parts = adapter.parameters().flat_map(|(spec, value)| match value {
        ParameterValue::Vector(param) => gradients.get::<1>(param.id).map(|gradient| split(spec, gradient)),
        ParameterValue::Matrix(param) => gradients.get::<2>(param.id).map(|gradient| split(spec, gradient)),
    });
    parts.flatten().collect()
}

/// The keys of [`adapter_tensors`] and their shapes, for an adapter of these settings on a linear `[d_out, d_in]`.
pub(crate) fn shapes(config: &AdapterConfig, [d_out, d_in]: [usize; 2]) -> Vec<(String, Vec<usize>)> {
    config.parameters(d_in, d_out).iter().flat_map(ParameterSpec::keys).collect()
}

/// Replaces an adapter's values by tensors looked up by their keys; shapes have been checked.
pub(crate) fn join<E>(adapter: &mut Adapter, mut lookup: impl FnMut(&str) -> Result<TensorData, E>) -> Result<(), E> {
    let specs: Vec<ParameterSpec> = adapter.parameters().map(|(spec, _)| spec.clone()).collect();
    let device = adapter.a().device();
    for spec in specs {
        let mut parts = spec.keys().into_iter().map(|(key, _)| lookup(&key)).collect::<Result<Vec<_>, E>>()?;
        let values = match spec.experts {
            None => parts.remove(0),
            Some((_, dim)) => {
                let parts = parts.into_iter().map(|part| Tensor::<2>::from_data(part, &device));
                Tensor::cat(parts.collect(), dim).into_data()
            }
        };
        adapter.set(spec.name, values);
    }
    Ok(())
}

fn split<const D: usize>(spec: &ParameterSpec, tensor: Tensor<D>) -> Vec<(String, TensorData)> {
    let parts = match spec.experts {
        None => vec![tensor],
        Some((experts, dim)) => tensor.chunk(experts, dim),
    };
    spec.keys().into_iter().zip(parts).map(|((key, _), part)| (key, part.into_data())).collect()
}
