//! An adapter as a module of Burn.

use super::Adapter;
use crate::{
    ParameterSpec, ParameterValue,
    parameters::{map_either, on_either},
};
use burn::{
    module::{Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor},
    tensor::Device,
};

impl Adapter {
    /// Applies the same to every parameter.
    fn mapped(self, mut map: impl FnMut(&ParameterSpec, ParameterValue) -> ParameterValue) -> Self {
        let parameters = self.parameters.into_iter().map(|(spec, value)| {
            let value = map(&spec, value);
            (spec, value)
        });
        Self { parameters: parameters.collect(), config: self.config }
    }
}

/// The type of an adapter as a container of parameters, before what it computes as JSON.
pub(crate) const CONTAINER: &str = "Struct:Adapter";

/// A parameter's name in the adapter is its place in the module. A visitor, which sees parameters and names alone, learns
/// from the type of the container what the adapter computes.
impl Module for Adapter {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        let container = format!("{CONTAINER} {}", self.config.description());
        for (spec, value) in &self.parameters {
            visitor.enter_module(spec.name, &container);
            on_either!(value, param => param.visit(visitor));
            visitor.exit_module(spec.name, &container);
        }
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        self.mapped(|spec, value| {
            mapper.enter_module(spec.name, CONTAINER);
            let value = map_either!(value, param => Module::map(param, mapper));
            mapper.exit_module(spec.name, CONTAINER);
            value
        })
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        let values = self.parameters.iter().map(|(_, value)| value);
        values.fold(devices, |devices, value| on_either!(value, param => param.collect_devices(devices)))
    }

    fn to_device(self, device: &Device) -> Self {
        self.mapped(|_, value| map_either!(value, param => param.to_device(device)))
    }

    fn fork(self, device: &Device) -> Self {
        self.mapped(|_, value| map_either!(value, param => param.fork(device)))
    }

    fn train(self) -> Self {
        self.mapped(|_, value| map_either!(value, param => param.train()))
    }

    fn valid(&self) -> Self {
        self.clone().mapped(|_, value| map_either!(value, param => param.valid()))
    }

    fn materialize(self) -> Self {
        self.mapped(|_, value| map_either!(value, param => param.materialize()))
    }
}

impl ModuleDisplayDefault for Adapter {
    fn content(&self, content: Content) -> Option<Content> {
        let names = self.parameters.iter().map(|(spec, _)| format!("{} {:?}", spec.name, spec.shape));
        content.add_formatted(&names.collect::<Vec<_>>().join(", ")).optional()
    }
}

impl ModuleDisplay for Adapter {}
