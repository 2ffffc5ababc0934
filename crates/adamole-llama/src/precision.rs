//! The type of the frozen weights.

use burn::tensor::{DType, FloatDType, Tensor};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The type in which a base model's weights are kept and its activations computed. Adapters, their gradients,
/// normalisations, softmax and losses are float32 whatever the base is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Four bytes a weight.
    #[default]
    Float32,
    /// Two bytes a weight, eight bits of precision, the range of float32.
    BFloat16,
    /// Two bytes a weight, eleven bits of precision, up to 65504.
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
}

impl FromStr for Precision {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "float32" | "f32" => Ok(Self::Float32),
            "bfloat16" | "bf16" => Ok(Self::BFloat16),
            "float16" | "f16" => Ok(Self::Float16),
            _ => Err(format!("dtype {name} is unknown, expected float32, bfloat16 or float16")),
        }
    }
}

/// The tensor in float32; itself where it is already.
pub(crate) fn widened<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.dtype() == DType::F32 { tensor } else { tensor.cast(FloatDType::F32) }
}

/// The tensor in `dtype`; itself where it is already.
pub(crate) fn narrowed<const D: usize>(tensor: Tensor<D>, dtype: DType) -> Tensor<D> {
    if tensor.dtype() == dtype { tensor } else { tensor.cast(FloatDType::from(dtype)) }
}
