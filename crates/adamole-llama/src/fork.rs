//! A model's copy for another thread or device.

use crate::CausalLm;
use burn::{
    module::{Module, ModuleMapper, Param},
    tensor::{Device, Tensor},
};

impl CausalLm {
    /// The device of its weights.
    pub fn device(&self) -> Device {
        self.projection().device()
    }

    /// The model on `device`, which has autodiff, with leaves of its own, so that graphs made with it stay apart from those of
    /// other copies; parameters keep their identity. What is on the device already is shared.
    ///
    /// Burn's `Module::fork` is for the same, but Burn 0.22.1 makes floats of quantised weights in it.
    pub fn forked(&self, device: &Device) -> Self {
        self.clone().map(&mut Fork(&device.clone().inner())).tied()
    }
}

/// Onto this device, which has no autodiff, and from there into new leaves.
struct Fork<'a>(&'a Device);

impl ModuleMapper for Fork<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let is_trained = value.is_require_grad();
        let value = if value.is_autodiff() { value.inner() } else { value };
        let leaf = Tensor::from_inner(value.to_device(self.0)).set_require_grad(is_trained);
        Param::from_mapped_value(id, leaf, mapper)
    }
}
