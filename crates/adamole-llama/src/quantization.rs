//! Frozen linears in fewer bits.

use adamole_kernels::can_dequantize;
use burn::tensor::{
    Device, Tensor,
    quantization::{QuantScheme, QuantStore, QuantValue, ScaleDtype},
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the weights of frozen linears are kept where not as floats: symmetric integers, each block of 32 in a row with a
/// scale of its own in float32. They are floats again for each product, so that memory is saved and not time; gradients
/// flow through them to the input. Embedding, output projection and norms stay floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// Eight bits, -127 to 127: 1.125 bytes a weight.
    Int8,
    /// Four bits, -7 to 7: 0.625 bytes a weight; on the CPU, where Burn keeps a byte for each, 1.125.
    Int4,
}

/// Weights that share a scale.
pub(crate) const BLOCK: u8 = 32;

impl Quantization {
    /// Bytes that a weight takes with its share of a scale, with small integers packed or in a byte each.
    pub fn bytes(self, is_packed: bool) -> f64 {
        let code = if self == Self::Int4 && is_packed { 0.5 } else { 1.0 };
        code + 4.0 / f64::from(BLOCK)
    }

    /// Burn's scheme.
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

    /// Whether a device can.
    pub fn is_supported(self, device: &Device) -> bool {
        can_dequantize(device, self.scheme())
    }

    /// The weights `[d_out, d_in]` of a linear; `None` where `d_in` is no multiple of the block.
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
