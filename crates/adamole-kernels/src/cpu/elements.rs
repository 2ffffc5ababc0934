//! The elements of tensors as float32, whatever float type they are kept in.

use super::product::Matrix;
use crate::{team::in_rows, wide::wide};
use burn::{
    backend::{TensorMetadata, flex::FlexTensor},
    tensor::{DType, Shape, TensorData},
};
use half::{bf16, f16, slice::HalfFloatSliceExt};

/// The elements of a tensor. Only strided views are copied, and 16 bits widened.
pub(super) struct Floats {
    tensor: FlexTensor,
    widened: Option<Vec<f32>>,
}

impl Floats {
    pub(super) fn of(tensor: &FlexTensor) -> Self {
        let tensor = tensor.to_contiguous();
        let widened = widened(&tensor);
        Self { tensor, widened }
    }

    pub(super) fn slice(&self) -> &[f32] {
        match &self.widened {
            Some(values) => values,
            None => self.tensor.as_slice().expect("float32 in one piece"),
        }
    }

    pub(super) fn dims<const D: usize>(&self) -> [usize; D] {
        self.tensor.shape().dims()
    }

    pub(super) fn matrix(&self) -> Matrix<'_> {
        let [rows, columns] = self.dims();
        Matrix::new(self.slice(), rows, columns)
    }

    /// A tensor of the same type.
    pub(super) fn like<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
        typed(values, shape, self.tensor.dtype())
    }
}

/// The elements of a tensor, to be overwritten. They are not copied where the tensor has no other owner.
pub(super) fn taken(tensor: FlexTensor) -> Vec<f32> {
    let tensor = if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() };
    widened(&tensor).unwrap_or_else(|| tensor.into_data().try_into_vec().expect("float32"))
}

/// A tensor in float32.
pub(super) fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::from(shape)))
}

/// A tensor of a float type, to which the values are rounded.
pub(super) fn typed<const D: usize>(values: Vec<f32>, shape: [usize; D], dtype: DType) -> FlexTensor {
    match dtype {
        DType::BF16 => {
            FlexTensor::from_data(TensorData::new(converted(&values, bf16::ZERO, narrow), Shape::from(shape)))
        }
        DType::F16 => {
            let convert = |values: &[f32], halves: &mut [f16]| halves.convert_from_f32_slice(values);
            FlexTensor::from_data(TensorData::new(converted(&values, f16::ZERO, convert), Shape::from(shape)))
        }
        _ => tensor(values, shape),
    }
}

/// The elements of a contiguous tensor of 16 bits; `None` for float32.
fn widened(tensor: &FlexTensor) -> Option<Vec<f32>> {
    if let Some(halves) = tensor.as_slice::<bf16>() {
        return Some(converted(halves, 0.0, widen_all));
    }
    let halves = tensor.as_slice::<f16>()?;
    Some(converted(halves, 0.0, |halves: &[f16], values| halves.convert_to_f32_slice(values)))
}

fn converted<S: Sync, T: Copy + Send>(from: &[S], zero: T, convert: impl Fn(&[S], &mut [T]) + Sync) -> Vec<T> {
    let mut to = vec![zero; from.len()];
    in_rows(&mut to, 1, |start, to| convert(&from[start..][..to.len()], to));
    to
}

#[inline(always)]
pub(super) fn widen(half: bf16) -> f32 {
    f32::from_bits(u32::from(half.to_bits()) << 16)
}

wide! {
    fn widen_all(halves: &[bf16], values: &mut [f32]) {
        halves.iter().zip(values).for_each(|(half, value)| *value = widen(*half));
    }

    /// Rounds to the nearest, ties to even, without branches.
    fn narrow(values: &[f32], halves: &mut [bf16]) {
        for (value, half) in values.iter().zip(halves) {
            let bits = value.to_bits();
            let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
            let quiet = bits | 0x40_0000;
            *half = bf16::from_bits((if value.is_nan() { quiet } else { rounded } >> 16) as u16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CounterRng;

    #[test]
    fn bfloat16_is_rounded_as_half_does() {
        let mut values = CounterRng::new(&[1]).normal(10_000, 1e3);
        values.extend([0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-45, 1.003_906_2]);
        let mut halves = vec![bf16::ZERO; values.len()];
        narrow(&values, &mut halves);
        for (value, half) in values.iter().zip(&halves) {
            assert_eq!(*half, bf16::from_f32(*value), "{value}");
            assert_eq!(widen(*half), half.to_f32());
        }
        narrow(&[f32::NAN], &mut halves[..1]);
        assert!(halves[0].is_nan());
    }
}
