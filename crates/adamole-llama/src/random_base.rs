//! Stand-ins for base models whose files are not at hand: random weights, drawn on the device.

use crate::{CausalLm, ModelConfig, ModelError, WeightTypes, model::TensorSource};
use burn::tensor::{DType, Device, Distribution, Tensor};

impl CausalLm {
    /// A frozen model of this shape with random weights in these types, for measurements: time and memory depend on the shape
    /// alone. The device draws one tensor after the other, so that nothing of the model's size passes through the
    /// machine's memory. Matrices are normal with variance 1 / columns, normalisations the identity, biases 0.
    ///
    /// # Errors
    /// The device does not support the types, or the rows of a linear cannot be quantised.
    pub fn random_base(
        config: ModelConfig,
        types: impl Into<WeightTypes>,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let types = types.into();
        types.check(device)?;
        device.seed(0);
        let mut source = Drawn { types, norm: 1.0 - config.norms.offset, device, error: None };
        let model = Self::build(config, &mut source);
        if let Some(error) = source.error {
            return Err(error);
        }
        types.check_loaded(&model)?;
        Ok(model)
    }
}

/// The source of the weights of [`CausalLm::random_base`].
struct Drawn<'a> {
    types: WeightTypes,
    /// The weight of a normalisation that is the identity.
    norm: f32,
    device: &'a Device,
    /// The first error. After it, tensors are placeholders, and the model is discarded.
    error: Option<ModelError>,
}

impl Drawn<'_> {
    /// In float32, which every device can draw.
    fn draw<const D: usize>(&self, name: &str, shape: [usize; D]) -> Tensor<D> {
        let options = (self.device, DType::F32);
        match shape[..] {
            [_, columns] => Tensor::random(shape, Distribution::Normal(0.0, (columns as f64).sqrt().recip()), options),
            _ if name.ends_with("norm.weight") => Tensor::full(shape, self.norm, options),
            _ => Tensor::zeros(shape, options),
        }
    }
}

impl TensorSource for Drawn<'_> {
    fn tensor<const D: usize>(&mut self, name: &str, shape: [usize; D]) -> Tensor<D> {
        self.draw(name, shape).cast(self.types.precision.dtype())
    }

    fn linear(&mut self, name: &str, shape: [usize; 2]) -> Tensor<2> {
        let Some(quantization) = self.types.quantization else { return self.tensor(name, shape) };
        quantization.apply(self.draw(name, shape)).unwrap_or_else(|| {
            self.error.get_or_insert(ModelError::NotQuantizable { linear: name.to_owned(), width: shape[1] });
            Tensor::zeros([1, 1], self.device)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::{Parameter, Precision};
    use std::path::Path;

    fn config() -> ModelConfig {
        ModelConfig::from_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../datasets/base")).unwrap()
    }

    #[test]
    fn a_stand_in_has_the_shape_and_the_types_of_the_model_and_trains_nothing() {
        let device = Device::default().autodiff();
        for precision in [Precision::Float32, Precision::BFloat16] {
            let model = CausalLm::random_base(config(), precision, &device).unwrap();
            assert_eq!(model.config(), &config());
            for Parameter { name, dtype, .. } in model.parameters() {
                assert_eq!(dtype, precision.dtype(), "{name}");
            }
            let weight = model.linears()[0].1.weight.val();
            assert!(!weight.is_require_grad());
            let columns = weight.dims()[1] as f32;
            let variance = weight.inner().cast(DType::F32).square().mean().into_scalar::<f32>();
            assert!((variance * columns - 1.0).abs() < 0.1, "{variance}");
        }
    }

    #[test]
    fn a_shape_that_cannot_be_quantised_is_refused() {
        let narrow = config().with([("hidden_size".into(), 24.into())].into_iter().collect()).unwrap();
        let types = WeightTypes { precision: Precision::Float32, quantization: Some(crate::Quantization::Int8) };
        let refused = CausalLm::random_base(narrow, types, &Device::default()).unwrap_err();
        assert!(matches!(&refused, ModelError::NotQuantizable { width: 24, .. }), "{refused}");
    }
}
