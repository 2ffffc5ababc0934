//! Weights from one float type to another, piece by piece, with a look at each value: what is not finite never gets into
//! a model.

use crate::{ModelError, Precision};
use burn::tensor::{DType, Element, TensorData};
use half::{bf16, f16};
use safetensors::Dtype;
use std::path::Path;

/// Bytes of a file that are converted at a time; a multiple of every width. What was converted is looked at while it is
/// still in the processor's cache.
const PIECE: usize = 1 << 20;

/// A float type that can be read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    F32,
    F16,
    BF16,
}

impl Source {
    /// `None` for other types.
    pub(crate) fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    fn width(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }
}

/// The first value that is not finite.
#[derive(Debug)]
pub(crate) struct NotFinite {
    /// In the file; a finite one is beyond the range of the type that was asked for.
    value: f32,
    precision: &'static str,
    element: usize,
}

impl NotFinite {
    pub(crate) fn in_tensor(self, path: &Path, tensor: &str) -> ModelError {
        let Self { value, precision, element } = self;
        ModelError::NotFinite { path: path.to_owned(), tensor: tensor.to_owned(), value, precision, element }
    }
}

/// A float type that weights are kept in.
trait Weight: Element {
    const PRECISION: Precision;
    fn from_f32(value: f32) -> Self;
    fn to_f32(self) -> f32;
    fn is_finite(self) -> bool;
}

impl Weight for f32 {
    const PRECISION: Precision = Precision::Float32;
    fn from_f32(value: f32) -> Self {
        value
    }
    fn to_f32(self) -> f32 {
        self
    }
    fn is_finite(self) -> bool {
        Self::is_finite(self)
    }
}

macro_rules! half_weight {
    ($type:ty, $precision:ident) => {
        impl Weight for $type {
            const PRECISION: Precision = Precision::$precision;
            fn from_f32(value: f32) -> Self {
                Self::from_f32(value)
            }
            fn to_f32(self) -> f32 {
                Self::to_f32(self)
            }
            fn is_finite(self) -> bool {
                Self::is_finite(self)
            }
        }
    };
}

half_weight!(f16, Float16);
half_weight!(bf16, BFloat16);

/// The floats of a file as another type of float; `done` is told of each piece that has been read.
///
/// # Errors
/// A value is not finite in the file, or not in the type.
pub(crate) fn converted(
    bytes: &[u8],
    from: Source,
    to: DType,
    shape: Vec<usize>,
    done: impl Fn(&[u8]),
) -> Result<TensorData, NotFinite> {
    Ok(match to {
        DType::BF16 => TensorData::new(values::<bf16>(bytes, from, done)?, shape),
        DType::F16 => TensorData::new(values::<f16>(bytes, from, done)?, shape),
        _ => TensorData::new(values::<f32>(bytes, from, done)?, shape),
    })
}

/// That every value is finite.
///
/// # Errors
/// The first that is not.
pub(crate) fn check_finite(data: &TensorData) -> Result<(), NotFinite> {
    fn first<T: Weight>(data: &TensorData) -> Result<(), NotFinite> {
        let values = data.as_slice::<T>().unwrap_or_default();
        match all_finite(values) {
            true => Ok(()),
            false => Err(values.iter().position(|value| !value.is_finite()).map_or_else(
                || NotFinite { value: f32::NAN, precision: T::PRECISION.name(), element: 0 },
                |element| NotFinite { value: values[element].to_f32(), precision: T::PRECISION.name(), element },
            )),
        }
    }
    match data.dtype() {
        DType::F32 => first::<f32>(data),
        DType::F16 => first::<f16>(data),
        DType::BF16 => first::<bf16>(data),
        _ => Ok(()),
    }
}

fn values<T: Weight>(bytes: &[u8], from: Source, done: impl Fn(&[u8])) -> Result<Vec<T>, NotFinite> {
    let mut values: Vec<T> = Vec::with_capacity(bytes.len() / from.width());
    for piece in bytes.chunks(PIECE) {
        let start = values.len();
        let (quads, pairs) = (piece.as_chunks::<4>().0, piece.as_chunks::<2>().0);
        match from {
            Source::F32 => values.extend(quads.iter().map(|bytes| T::from_f32(f32::from_le_bytes(*bytes)))),
            Source::F16 => values.extend(pairs.iter().map(|bytes| T::from_f32(f16::from_le_bytes(*bytes).to_f32()))),
            Source::BF16 => values.extend(pairs.iter().map(|bytes| T::from_f32(bf16::from_le_bytes(*bytes).to_f32()))),
        }
        if !all_finite(&values[start..]) {
            let element = start + values[start..].iter().take_while(|value| value.is_finite()).count();
            let at = &bytes[element * from.width()..];
            let value = match from {
                Source::F32 => f32::from_le_bytes(at.first_chunk().copied().unwrap_or_default()),
                Source::F16 => f16::from_le_bytes(at.first_chunk().copied().unwrap_or_default()).to_f32(),
                Source::BF16 => bf16::from_le_bytes(at.first_chunk().copied().unwrap_or_default()).to_f32(),
            };
            return Err(NotFinite { value, precision: T::PRECISION.name(), element });
        }
        done(piece);
    }
    Ok(values)
}

/// Without an early end, so that several values are looked at with one instruction.
fn all_finite<T: Weight>(values: &[T]) -> bool {
    values.iter().fold(true, |all, value| all & value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[f32], to: DType) -> Result<TensorData, NotFinite> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        converted(&bytes, Source::F32, to, vec![values.len()], |_| ())
    }

    #[test]
    fn the_first_value_that_is_not_finite_is_found() {
        let mut values = vec![0.5; PIECE];
        assert!(read(&values, DType::F32).is_ok());
        values[PIECE - 1] = f32::NEG_INFINITY;
        values[PIECE / 2] = f32::NAN;
        let bad = read(&values, DType::BF16).unwrap_err();
        assert!(bad.element == PIECE / 2 && bad.value.is_nan(), "{bad:?}");
    }

    #[test]
    fn a_value_beyond_the_types_range_is_not_finite() {
        assert!(read(&[65504.0, -1e5], DType::BF16).is_ok());
        let bad = read(&[65504.0, -1e5], DType::F16).unwrap_err();
        assert_eq!((bad.element, bad.value, bad.precision), (1, -1e5, "float16"));
    }

    #[test]
    fn tensors_in_memory_are_looked_at_too() {
        let data = TensorData::new(vec![f16::ONE, f16::NAN], [2]);
        assert_eq!(check_finite(&data).unwrap_err().element, 1);
        assert!(check_finite(&TensorData::new(vec![f32::MAX], [1])).is_ok());
        assert!(check_finite(&TensorData::new(vec![1_i64], [1])).is_ok());
    }
}
