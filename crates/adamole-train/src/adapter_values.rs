//! The values of a model's adapters, off the device.

use crate::CheckpointDamage;
use adamole_core::AdaptedLinear;
use adamole_llama::{CausalLm, ChainOfLora, ParameterKind, ParameterMapper};
use burn::{
    module::Param,
    tensor::{Tensor, TensorData},
};
use std::collections::BTreeMap;

/// Every parameter of a model's adapters, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct AdapterValues(pub(crate) BTreeMap<String, TensorData>);

impl AdapterValues {
    /// The values of this model.
    pub(crate) fn of(model: &CausalLm) -> Self {
        Self(model.parameter_values(ParameterKind::Adapter).into_iter().collect())
    }

    /// The model with these values in its adapters.
    ///
    /// # Errors
    /// They are not exactly the parameters of its adapters.
    pub(crate) fn placed_in(self, model: CausalLm) -> Result<CausalLm, CheckpointDamage> {
        let mut place = Place { values: self.0, unfit: Vec::new() };
        let model = model.map_parameters(&mut place);
        place.unfit.extend(place.values.into_keys());
        if place.unfit.is_empty() { Ok(model) } else { Err(CheckpointDamage::Unfit(place.unfit)) }
    }

    /// The model that a run begins with, with these values of one of its epochs. Those of a chain of LoRAs are one adapter, as
    /// wide as all of them together.
    ///
    /// # Errors
    /// They are not of such a run.
    pub(crate) fn placed_in_first(self, mut model: CausalLm) -> Result<CausalLm, CheckpointDamage> {
        let stages = |(name, linear): (String, &AdaptedLinear)| {
            let (a, _) = linear.adapter.as_ref()?.parameters().find(|(spec, _)| spec.name == "a")?;
            Some(self.0.get(&format!("{name}.adapter.a"))?.shape().first()? / a.shape[0].max(1))
        };
        let stages = model.linears().into_iter().filter_map(stages).max().unwrap_or(1);
        if stages > 1 {
            model.adapt_for_values(&ChainOfLora::whole_layout(&model.layout(), stages));
        }
        self.placed_in(model)
    }
}

struct Place {
    values: BTreeMap<String, TensorData>,
    unfit: Vec<String>,
}

impl ParameterMapper for Place {
    fn map<const D: usize>(&mut self, name: String, kind: ParameterKind, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if kind == ParameterKind::Base {
            return param;
        }
        let value = self.values.remove(&name).filter(|value| value.shape().to_vec() == param.shape().to_vec());
        let Some(value) = value else {
            self.unfit.push(name);
            return param;
        };
        param.map(|old| {
            let device = old.device();
            match device.is_autodiff() {
                true => {
                    let placed = Tensor::from_inner(Tensor::from_data(value, &device.inner()));
                    placed.set_require_grad(old.is_require_grad())
                }
                false => Tensor::from_data(value, &device),
            }
        })
    }
}
