//! The types of tensors in GGUF files.

use crate::convert::{NotFinite, check_finite};
use burn::tensor::{DType, TensorData};
use half::f16;
use std::{fmt, str::FromStr};

/// The values that share a scale in q8_0.
const BLOCK: usize = 32;

/// The type of the weights in a GGUF file. Norms, biases and factors are float32 whatever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GgufType {
    /// Four bytes a weight.
    F32,
    /// Two bytes a weight, up to 65504.
    F16,
    /// Two bytes a weight, eight bits of precision.
    BF16,
    /// Eight bits a weight, with a scale in float16 for 32 of them. Weights whose rows are no multiple of 32 are float16.
    Q8_0,
}

impl GgufType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::BF16, Self::Q8_0];

    /// The name, as in llama.cpp.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::Q8_0 => "q8_0",
        }
    }

    /// `general.file_type` of a file whose weights have mostly this type.
    pub(super) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 7,
            Self::BF16 => 32,
        }
    }

    /// The number of the type in ggml.
    pub(super) fn kind(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8_0 => 8,
            Self::BF16 => 30,
        }
    }

    /// The type of a tensor of this shape in a file of this type.
    pub(super) fn of_shape(self, shape: &[usize]) -> Self {
        match (self, shape) {
            (_, [_]) => Self::F32,
            (Self::Q8_0, [.., row]) if !row.is_multiple_of(BLOCK) => Self::F16,
            _ => self,
        }
    }

    /// The bytes of so many values.
    pub(super) fn length(self, values: usize) -> usize {
        match self {
            Self::F32 => 4 * values,
            Self::F16 | Self::BF16 => 2 * values,
            Self::Q8_0 => (values / BLOCK) * (2 + BLOCK),
        }
    }

    /// The bytes of values.
    ///
    /// # Errors
    /// A value is not finite in this type.
    pub(super) fn encode(self, data: TensorData) -> Result<Vec<u8>, NotFinite> {
        let data = data.convert_dtype(match self {
            Self::F32 | Self::Q8_0 => DType::F32,
            Self::F16 => DType::F16,
            Self::BF16 => DType::BF16,
        });
        check_finite(&data)?;
        match self {
            Self::Q8_0 => quantized(data.as_slice::<f32>().unwrap_or_default()),
            _ => Ok(data.as_bytes().to_vec()),
        }
    }
}

/// Blocks of a scale d in float16, the largest magnitude / 127, and 32 integers round(x / d); as ggml's
/// `quantize_row_q8_0`.
fn quantized(values: &[f32]) -> Result<Vec<u8>, NotFinite> {
    let mut bytes = Vec::with_capacity(GgufType::Q8_0.length(values.len()));
    for (index, block) in values.as_chunks::<BLOCK>().0.iter().enumerate() {
        let largest = block.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let scale = largest / 127.0;
        let stored = f16::from_f32(scale);
        if !stored.is_finite() {
            let place = block.iter().take_while(|value| value.abs() < largest).count();
            return Err(NotFinite::new(largest, "q8_0", index * BLOCK + place));
        }
        bytes.extend(stored.to_le_bytes());
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        bytes.extend(block.iter().map(|value| ((value * inverse).round() as i8).to_le_bytes()[0]));
    }
    Ok(bytes)
}

impl fmt::Display for GgufType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GgufType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| format!("expected one of {}", names()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bits_are_within_half_a_step_of_the_value() {
        let values: Vec<f32> = (0..64).map(|i| (i as f32 * 0.37).sin() * if i < 32 { 1.0 } else { 1e-3 }).collect();
        let bytes = GgufType::Q8_0.encode(TensorData::new(values.clone(), [2, 32])).unwrap();
        assert_eq!(bytes.len(), 68);
        for (block, values) in bytes.chunks(34).zip(values.chunks(32)) {
            let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
            let largest = values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            // Small scales are subnormal, in steps of 2^-24.
            let of_scale = scale * 1e-3 + 6e-8;
            assert!((scale - largest / 127.0).abs() <= of_scale);
            for (byte, value) in block[2..].iter().zip(values) {
                let back = f32::from(i8::from_le_bytes([*byte])) * scale;
                assert!((back - value).abs() <= 0.51 * scale + 127.0 * of_scale, "{back} {value}");
            }
        }
    }

    #[test]
    fn a_block_of_zeros_is_zeros() {
        assert_eq!(GgufType::Q8_0.encode(TensorData::new(vec![0.0_f32; 32], [1, 32])).unwrap(), vec![0; 34]);
    }

    #[test]
    fn values_beyond_the_type_are_refused() {
        let large = || TensorData::new([vec![0.0_f32; 31], vec![1e30]].concat(), [1, 32]);
        assert!(GgufType::F32.encode(large()).is_ok() && GgufType::BF16.encode(large()).is_ok());
        for kind in [GgufType::F16, GgufType::Q8_0] {
            let error = GgufType::encode(kind, large()).unwrap_err();
            assert!(format!("{error:?}").contains("31"), "{error:?}");
        }
    }

    #[test]
    fn rows_that_do_not_divide_into_blocks_are_float16() {
        assert_eq!(GgufType::Q8_0.of_shape(&[3, 64]), GgufType::Q8_0);
        assert_eq!(GgufType::Q8_0.of_shape(&[64, 3]), GgufType::F16);
        assert_eq!(GgufType::Q8_0.of_shape(&[64]), GgufType::F32);
        assert_eq!(GgufType::BF16.of_shape(&[64, 3]), GgufType::BF16);
    }
}
