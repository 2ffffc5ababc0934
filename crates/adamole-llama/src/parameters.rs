//! A model's parameters by name: the path of a parameter in the module is its key in the checkpoint.

use crate::CausalLm;
use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    tensor::Tensor,
};

/// Whether a parameter belongs to the base or to an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// A weight of the language model.
    Base,
    /// A weight of an adapter.
    Adapter,
}

/// Name, kind, identity and number of elements of every parameter.
///
/// Base names are the checkpoint's (`model.layers.0.self_attn.q_proj.weight`); an adapter's end in `adapter.a`,
/// `adapter.b`, `adapter.gate`, `adapter.threshold.weight` or `adapter.threshold.bias`.
pub fn parameters(model: &CausalLm) -> Vec<(String, ParameterKind, ParamId, usize)> {
    struct Names {
        path: Vec<String>,
        found: Vec<(String, ParameterKind, ParamId, usize)>,
    }
    impl ModuleVisitor for Names {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let adapter = self.path.iter().any(|part| part == "adapter");
            let kind = if adapter { ParameterKind::Adapter } else { ParameterKind::Base };
            self.found.push((self.path.join("."), kind, param.id, param.lazy_shape().num_elements()));
        }
    }
    let mut names = Names { path: Vec::new(), found: Vec::new() };
    model.visit(&mut names);
    names.found
}
