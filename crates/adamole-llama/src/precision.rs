//! The type of the frozen weights.

use crate::{CausalLm, ModelError, Parameter, ParameterKind, Quantization};
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The type in which a base model's weights are kept and its activations computed. Adapters, their gradients,
/// normalisations, softmax and losses are float32 whatever the base is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Four bytes a weight.
    #[default]
    #[serde(alias = "f32")]
    Float32,
    /// Two bytes a weight, eight bits of precision, the range of float32.
    #[serde(alias = "bf16")]
    BFloat16,
    /// Two bytes a weight, eleven bits of precision, up to 65504.
    #[serde(alias = "f16")]
    Float16,
}

impl Precision {
    /// The tensors' type.
    pub fn dtype(self) -> DType {
        match self {
            Self::Float32 => DType::F32,
            Self::BFloat16 => DType::BF16,
            Self::Float16 => DType::F16,
        }
    }

    /// The name, as on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::BFloat16 => "bfloat16",
            Self::Float16 => "float16",
        }
    }
}

/// The types in which a base model is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WeightTypes {
    /// Of what is not quantised, and of the activations.
    pub precision: Precision,
    /// Of the frozen linears, where they are quantised.
    pub quantization: Option<Quantization>,
}

impl WeightTypes {
    /// Whether the device can compute with them.
    pub(crate) fn check(self, device: &Device) -> Result<(), ModelError> {
        let unsupported = |types: String| Err(ModelError::UnsupportedType { types });
        if !device.supports_dtype(self.precision.dtype()) {
            return unsupported(self.precision.to_string());
        }
        match self.quantization {
            Some(quantization) if !quantization.is_supported(device) => unsupported(quantization.to_string()),
            _ => Ok(()),
        }
    }

    /// That every parameter of the base is of its type, and every one of an adapter float32.
    ///
    /// # Errors
    /// One is not; the first that is not is named.
    pub fn check_loaded(self, model: &CausalLm) -> Result<(), ModelError> {
        for Parameter { name, kind, dtype, .. } in model.parameters() {
            let is_linear = name.strip_suffix(".weight").is_some_and(|linear| linear.ends_with("_proj"));
            let (expected, is_right) = match self.quantization {
                _ if kind == ParameterKind::Adapter => ("float32".into(), dtype == DType::F32),
                Some(quantization) if is_linear => (quantization.to_string(), matches!(dtype, DType::QFloat(_))),
                _ => (self.precision.to_string(), dtype == self.precision.dtype()),
            };
            if !is_right {
                return Err(ModelError::WrongType { name, found: format!("{dtype:?}"), expected });
            }
        }
        Ok(())
    }
}

impl From<Precision> for WeightTypes {
    fn from(precision: Precision) -> Self {
        Self { precision, quantization: None }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The tensor in float32; itself where it is already.
pub(crate) fn widened<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    tensor.cast(DType::F32)
}

/// The tensor in `dtype`; itself where it is already.
pub(crate) fn narrowed<const D: usize>(tensor: Tensor<D>, dtype: DType) -> Tensor<D> {
    tensor.cast(dtype)
}
