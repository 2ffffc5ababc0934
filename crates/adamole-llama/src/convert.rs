//! Conversion of weights between float types. Every value is checked: no value that is not finite gets into a model.

use crate::{ModelError, Precision};
use burn::tensor::{DType, Element, TensorData};
use half::{bf16, f16};
use safetensors::Dtype;
use std::path::Path;

/// Bytes that are converted at a time; a multiple of every width. The converted values are checked while they are in the
/// processor's cache.
const PIECE: usize = 1 << 20;

/// The float types of weight files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    F32,
    F16,
    BF16,
}

impl Source {
    /// The source type of a safetensors type; `None` where it is not one.
    pub(crate) fn of(dtype: Dtype) -> Option<Self> {
        match dtype {
            Dtype::F32 => Some(Self::F32),
            Dtype::F16 => Some(Self::F16),
            Dtype::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    /// Bytes of an element.
    fn width(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    /// Appends little-endian elements to `values`.
    pub(crate) fn decode<T: Weight>(self, bytes: &[u8], values: &mut Vec<T>) {
        let (quads, pairs) = (bytes.as_chunks::<4>().0, bytes.as_chunks::<2>().0);
        match self {
            Self::F32 => values.extend(quads.iter().map(|bytes| T::from_f32(f32::from_le_bytes(*bytes)))),
            Self::F16 => values.extend(pairs.iter().map(|bytes| T::from_f32(f16::from_le_bytes(*bytes).to_f32()))),
            Self::BF16 => values.extend(pairs.iter().map(|bytes| T::from_f32(bf16::from_le_bytes(*bytes).to_f32()))),
        }
    }
}

/// The first value that is not finite.
#[derive(Debug)]
pub(crate) struct NotFinite {
    /// The value in the file. A finite one is outside the range of the target type.
    value: f32,
    precision: &'static str,
    element: usize,
}

impl NotFinite {
    /// A finite value outside the range of a type.
    pub(crate) fn new(value: f32, precision: &'static str, element: usize) -> Self {
        Self { value, precision, element }
    }

    pub(crate) fn in_tensor(self, path: &Path, tensor: &str) -> ModelError {
        let Self { value, precision, element } = self;
        ModelError::NotFinite { path: path.to_owned(), tensor: tensor.to_owned(), value, precision, element }
    }
}

/// The float types of weights in memory.
pub(crate) trait Weight: Element {
    const PRECISION: Precision;
    fn from_f32(value: f32) -> Self;
    fn is_finite(self) -> bool;
}

macro_rules! weight {
    ($type:ty, $precision:ident, $from_f32:expr) => {
        impl Weight for $type {
            const PRECISION: Precision = Precision::$precision;
            fn from_f32(value: f32) -> Self {
                $from_f32(value)
            }
            fn is_finite(self) -> bool {
                Self::is_finite(self)
            }
        }
    };
}

weight!(f32, Float32, std::convert::identity);
weight!(f16, Float16, f16::from_f32);
weight!(bf16, BFloat16, bf16::from_f32);

/// The elements of `bytes` as tensor data of type `to`. `done` is called with each piece that has been read.
///
/// # Errors
/// A value is not finite in the file or in the target type.
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

/// Checks that every value is finite.
///
/// # Errors
/// The first value that is not.
pub(crate) fn check_finite(data: &TensorData) -> Result<(), NotFinite> {
    fn first<T: Weight>(data: &TensorData) -> Result<(), NotFinite> {
        let values = data.as_slice::<T>().unwrap_or_default();
        match all_finite(values) {
            true => Ok(()),
            false => {
                let element = values.iter().take_while(|value| value.is_finite()).count();
                Err(NotFinite { value: values[element].to_f32(), precision: T::PRECISION.name(), element })
            }
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
        from.decode(piece, &mut values);
        if !all_finite(&values[start..]) {
            let element = start + values[start..].iter().take_while(|value| value.is_finite()).count();
            let mut value = Vec::new();
            from.decode::<f32>(&bytes[element * from.width()..][..from.width()], &mut value);
            return Err(NotFinite { value: value[0], precision: T::PRECISION.name(), element });
        }
        done(piece);
    }
    Ok(values)
}

/// Whether all values are finite. Without an early return, so that the loop is vectorised.
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
    fn a_value_outside_the_range_of_the_type_is_not_finite() {
        assert!(read(&[65504.0, -1e5], DType::BF16).is_ok());
        let bad = read(&[65504.0, -1e5], DType::F16).unwrap_err();
        assert_eq!((bad.element, bad.value, bad.precision), (1, -1e5, "float16"));
    }

    #[test]
    fn tensors_in_memory_are_checked_too() {
        let data = TensorData::new(vec![f16::ONE, f16::NAN], [2]);
        assert_eq!(check_finite(&data).unwrap_err().element, 1);
        assert!(check_finite(&TensorData::new(vec![f32::MAX], [1])).is_ok());
        assert!(check_finite(&TensorData::new(vec![1_i64], [1])).is_ok());
    }
}
