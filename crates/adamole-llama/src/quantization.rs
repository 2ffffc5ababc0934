//! Quantisation of frozen linears.

use adamole_kernels::can_dequantize;
use burn::tensor::{
    Device, Tensor,
    quantization::{QuantScheme, QuantStore, QuantValue, ScaleDtype},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The quantisation of frozen linears: symmetric integers with a float32 scale for each block of 32 weights in a row. They
/// are dequantised for each product, which saves memory but no time; gradients flow through them to the input. Embedding,
/// output projection and norms remain floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// Eight bits, -127 to 127: 1.125 bytes a weight.
    Int8,
    /// Four bits, -7 to 7: 0.625 bytes a weight, or 1.125 on the CPU, where Burn stores one in a byte.
    Int4,
}

/// The number of weights that share a scale.
pub(crate) const BLOCK: u8 = 32;

impl Quantization {
    /// Bytes per weight, including its share of the scale. `is_packed` says whether 4-bit integers share a byte.
    pub fn bytes(self, is_packed: bool) -> f64 {
        let code = if self == Self::Int4 && is_packed { 0.5 } else { 1.0 };
        code + 4.0 / f64::from(BLOCK)
    }

    /// The scheme in Burn.
    pub(crate) fn scheme(self) -> QuantScheme {
        let value = match self {
            Self::Int8 => QuantValue::Q8S,
            Self::Int4 => QuantValue::Q4S,
        };
        QuantScheme::default()
            .with_value(value)
            .with_store(QuantStore::PackedU32(0))
            .per_block([BLOCK], ScaleDtype::F32)
    }

    /// Whether a device supports it.
    pub(crate) fn is_supported(self, device: &Device) -> bool {
        can_dequantize(device, self.scheme())
    }

    /// Quantises the weights `[d_out, d_in]` of a linear; `None` if `d_in` is not a multiple of the block.
    pub(crate) fn apply(self, weight: Tensor<2>) -> Option<Tensor<2>> {
        weight.dims()[1].is_multiple_of(BLOCK.into()).then(|| weight.quantize_dynamic(&self.scheme()))
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        })
    }
}
