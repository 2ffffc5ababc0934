//! Which adapters a module has, and where.

use crate::adapter::module::CONTAINER;
use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    tensor::Tensor,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// The adapters of a module, by their places in it.
#[derive(Debug, Default)]
pub(super) struct Census {
    pub(super) adapters: BTreeMap<String, Found>,
    path: Vec<String>,
    /// The place of the adapter that is being visited.
    place: Option<String>,
}

/// An adapter of a module.
#[derive(Debug)]
pub(super) struct Found {
    /// What it computes.
    pub(super) description: Value,
    /// By their places in the module.
    pub(super) parameters: BTreeMap<String, Parameter>,
}

#[derive(Debug)]
pub(super) struct Parameter {
    /// Parameters with one id are one, which several adapters share.
    pub(super) id: ParamId,
    pub(super) shape: Vec<usize>,
}

impl Census {
    pub(super) fn of<M: Module>(module: &M) -> Self {
        let mut census = Self::default();
        module.visit(&mut census);
        census
    }
}

impl ModuleVisitor for Census {
    fn enter_module(&mut self, name: &str, container: &str) {
        let description = container.strip_prefix(CONTAINER).and_then(|json| serde_json::from_str(json).ok());
        if let Some(description) = description {
            let place = self.path.join(".");
            self.adapters.entry(place.clone()).or_insert_with(|| Found { description, parameters: BTreeMap::new() });
            self.place = Some(place);
        }
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
        self.place = None;
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let found = self.place.as_ref().and_then(|place| self.adapters.get_mut(place));
        if let Some(found) = found {
            let parameter = Parameter { id: param.id, shape: param.val().dims().to_vec() };
            found.parameters.insert(self.path.join("."), parameter);
        }
    }
}
