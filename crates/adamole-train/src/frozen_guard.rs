//! Watches the frozen weights, which nothing may change: a kernel that writes where it should not goes unnoticed otherwise, until
//! the loss is not a number.

use crate::{
    TrainError,
    routing::{floats, plain},
};
use adamole_llama::{CausalLm, ParameterKind, ParameterVisitor};
use burn::{
    module::Param,
    tensor::{DType, Tensor},
};

/// Steps between two looks. One reads every weight once, and one number of each comes back.
const EVERY: usize = 100;

/// How far a sum may be from what it was: a device may add in another order from one time to the next.
const TOLERANCE: f64 = 1e-4;

/// The sums of the absolute values of the frozen weights, by name, as they were loaded.
#[derive(Debug)]
pub(crate) struct FrozenGuard(Vec<(String, f64)>);

impl FrozenGuard {
    /// The weights as they are now. Quantised ones are left out: they would be dequantised for it.
    pub(crate) fn of(model: &CausalLm) -> Self {
        Self(sums(model))
    }

    /// Whether it is time for a look after so many steps.
    pub(crate) fn is_due(step: usize) -> bool {
        step.is_multiple_of(EVERY)
    }

    /// Checks that the weights are what they were.
    ///
    /// # Errors
    /// The first that is not.
    pub(crate) fn check(&self, model: &CausalLm, step: usize) -> Result<(), TrainError> {
        // Neither is what is not a number.
        let is_same = |before: f64, now: f64| (now - before).abs() <= TOLERANCE * before.abs();
        let now = sums(model);
        let changed = self.0.iter().zip(now).find(|((_, before), (_, now))| !is_same(*before, *now));
        changed.map_or(Ok(()), |((parameter, before), (_, now))| {
            Err(TrainError::FrozenChanged { parameter: parameter.clone(), before: *before, now, step })
        })
    }
}

/// Name and sum of every weight of the base, in one transfer.
fn sums(model: &CausalLm) -> Vec<(String, f64)> {
    struct Sums(Vec<String>, Vec<Tensor<1>>);
    impl ParameterVisitor for Sums {
        fn visit<const D: usize>(&mut self, name: String, kind: ParameterKind, param: &Param<Tensor<D>>) {
            let value = param.val();
            if kind == ParameterKind::Base && !matches!(value.dtype(), DType::QFloat(_)) {
                self.0.push(name);
                self.1.push(plain(value).cast(DType::F32).abs().sum());
            }
        }
    }
    let mut all = Sums(Vec::new(), Vec::new());
    model.visit_parameters(&mut all);
    let Sums(names, sums) = all;
    names.into_iter().zip(floats(Tensor::cat(sums, 0).into_data())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use adamole_llama::{ModelConfig, ParameterMapper, Precision};
    use burn::tensor::Device;
    use std::path::Path;

    /// Makes something else of one value of a weight.
    struct Overwrite(&'static str, f32);

    impl ParameterMapper for Overwrite {
        fn map<const D: usize>(
            &mut self,
            name: String,
            _kind: ParameterKind,
            param: Param<Tensor<D>>,
        ) -> Param<Tensor<D>> {
            if name != self.0 {
                return param;
            }
            param.map(|value| {
                let first: [std::ops::Range<usize>; D] = std::array::from_fn(|_| 0..1);
                let other = value.clone().slice(first.clone()).mul_scalar(0.0).add_scalar(self.1);
                value.slice_assign(first, other)
            })
        }
    }

    #[test]
    fn a_single_overwritten_value_is_found() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/base");
        let config = ModelConfig::from_folder(&folder).unwrap();
        let model = CausalLm::random_base(config, Precision::Float32, &Device::default()).unwrap();
        let guard = FrozenGuard::of(&model);
        assert!(guard.0.len() > 10 && guard.check(&model, 5).is_ok());
        for value in [f32::NAN, f32::INFINITY, 1e6] {
            let changed = model.clone().map_parameters(&mut Overwrite("model.layers.1.mlp.up_proj.weight", value));
            let error = guard.check(&changed, 5).unwrap_err().to_string();
            assert!(error.contains("step 5") && error.contains("model.layers.1.mlp.up_proj.weight"), "{error}");
        }
    }
}
