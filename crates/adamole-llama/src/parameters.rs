//! The parameters of a model by name.

use crate::CausalLm;
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    tensor::{DType, Tensor, TensorData},
};
use std::collections::HashSet;

/// Whether a parameter belongs to the base or to an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// A weight of the language model.
    Base,
    /// A weight of an adapter.
    Adapter,
}

/// What a parameter is, without its values.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its path in the module, which is its key in checkpoints (`model.layers.0.self_attn.q_proj.weight`). An adapter's ends
    /// in `adapter.a`, `adapter.b`, `adapter.gate`, `adapter.threshold.weight` or `adapter.threshold.bias`.
    pub name: String,
    /// Base or adapter.
    pub kind: ParameterKind,
    /// Its identity, under which gradients are kept.
    pub id: ParamId,
    /// Its number of elements.
    pub elements: usize,
    /// The type of its elements.
    pub dtype: DType,
    /// Whether it is trained: those of the base are not, nor are states of adapters.
    pub trained: bool,
}

/// Reads the parameters of a model, one by one.
pub trait ParameterVisitor {
    /// One parameter and its name.
    fn visit<const D: usize>(&mut self, name: String, kind: ParameterKind, param: &Param<Tensor<D>>);
}

/// Replaces the parameters of a model, one by one.
pub trait ParameterMapper {
    /// What stands in the parameter's place.
    fn map<const D: usize>(&mut self, name: String, kind: ParameterKind, param: Param<Tensor<D>>) -> Param<Tensor<D>>;
}

impl CausalLm {
    /// Shows every parameter to `visitor`; one that several linears share once, under the name of the first.
    pub fn visit_parameters(&self, visitor: &mut impl ParameterVisitor) {
        self.visit(&mut Named { path: Vec::new(), seen: HashSet::new(), inner: visitor });
    }

    /// The model with every parameter replaced by `mapper`, as [`CausalLm::visit_parameters`] shows them.
    pub fn map_parameters(self, mapper: &mut impl ParameterMapper) -> Self {
        self.map(&mut Named { path: Vec::new(), seen: HashSet::new(), inner: mapper }).tied()
    }

    /// Every parameter, without its values.
    pub fn parameters(&self) -> Vec<Parameter> {
        struct All(Vec<Parameter>);
        impl ParameterVisitor for All {
            fn visit<const D: usize>(&mut self, name: String, kind: ParameterKind, param: &Param<Tensor<D>>) {
                let (elements, dtype) = (param.shape().num_elements(), param.val().dtype());
                let trained = param.is_require_grad();
                self.0.push(Parameter { name, kind, id: param.id, elements, dtype, trained });
            }
        }
        let mut all = All(Vec::new());
        self.visit_parameters(&mut all);
        all.0
    }

    /// Name and values of every parameter of this kind.
    pub fn parameter_values(&self, kind: ParameterKind) -> Vec<(String, TensorData)> {
        struct Values(ParameterKind, Vec<(String, TensorData)>);
        impl ParameterVisitor for Values {
            fn visit<const D: usize>(&mut self, name: String, kind: ParameterKind, param: &Param<Tensor<D>>) {
                if kind == self.0 {
                    self.1.push((name, param.val().into_data()));
                }
            }
        }
        let mut values = Values(kind, Vec::new());
        self.visit_parameters(&mut values);
        values.1
    }
}

/// A walk through a module that knows where it is.
struct Named<'a, T> {
    path: Vec<String>,
    /// The parameters of adapters that were there already.
    seen: HashSet<ParamId>,
    inner: &'a mut T,
}

impl<T> Named<'_, T> {
    /// Name and kind of a parameter that was not there yet.
    fn name(&mut self, id: ParamId) -> Option<(String, ParameterKind)> {
        match self.path.iter().any(|part| part == "adapter") {
            true => self.seen.insert(id).then(|| (self.path.join("."), ParameterKind::Adapter)),
            false => Some((self.path.join("."), ParameterKind::Base)),
        }
    }
}

impl<T: ParameterVisitor> ModuleVisitor for Named<'_, T> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some((name, kind)) = self.name(param.id) {
            self.inner.visit(name, kind, param);
        }
    }
}

impl<T: ParameterMapper> ModuleMapper for Named<'_, T> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.name(param.id) {
            Some((name, kind)) => self.inner.map(name, kind, param),
            None => param,
        }
    }
}
