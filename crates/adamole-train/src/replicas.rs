//! Data parallelism: several devices share the micro-batches of a step, in the way of Burn's `ExecutionStrategy::MultiDevice` with its
//! optimizer on the main device: each has the model, adapters go out, gradients come back, and Burn's own accumulator adds
//! them over a fixed tree of the micro-batches.

use adamole_llama::CausalLm;
use burn::tensor::Device;

/// Copies of the frozen weights on further devices. They are made once; the adapters, which change, are copied in each
/// step.
#[derive(Debug, Default)]
pub struct Replicas {
    others: Vec<(Device, CausalLm)>,
}

impl Replicas {
    /// Copies of `model` on these devices, which are its own device's peers and have autodiff.
    pub fn new(model: &CausalLm, devices: &[Device]) -> Self {
        let others = devices.iter().map(|device| (device.clone(), model.clone().without_adapters().forked(device)));
        Self { others: others.collect() }
    }

    /// Devices in all, the main one included.
    pub(crate) fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// `model` on one of the devices, 0 being its own; with leaves of its own, so that the graphs of different workers stay
    /// apart.
    pub(crate) fn at(&self, device: usize, model: &CausalLm) -> CausalLm {
        match device.checked_sub(1).and_then(|index| self.others.get(index)) {
            None => model.forked(&model.device()),
            Some((device, base)) => base.clone().with_adapters_of(model, device),
        }
    }
}
