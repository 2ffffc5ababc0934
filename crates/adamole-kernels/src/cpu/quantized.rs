//! Quantised weights: their codes, and their values.

use super::few_rows::Codes;
use burn::{
    backend::{Flex, TensorMetadata, flex::FlexQTensor, ops::QTensorOps},
    tensor::FloatDType,
};

/// The codes and scales of weights in the layout of this workspace, blocks within rows; `None` for other layouts.
pub(super) fn codes(tensor: &FlexQTensor) -> Option<Codes<'_>> {
    let shape = tensor.tensor().shape();
    let (elements, scales) = (shape.num_elements(), tensor.scales());
    let block = elements / scales.len().max(1);
    let in_rows = tensor.scheme().block_size().is_none_or(|size| {
        let dims = size.to_dim_vec(shape.num_dims());
        dims.iter().rev().skip(1).all(|dim| *dim == 1)
    });
    let codes = tensor.tensor().as_slice::<i8>()?;
    let fits = in_rows && block > 0 && block * scales.len() == elements && tensor.tensor().is_contiguous();
    let is_of_rows = shape.dims::<2>()[1].is_multiple_of(block.max(1));
    (fits && is_of_rows).then_some(Codes { codes, scales, block })
}

/// The dequantised weights, `scale code`, in row-major order. The layout of this workspace takes one pass over the codes; Burn
/// handles the others.
pub(super) fn floats(tensor: &FlexQTensor) -> Vec<f32> {
    let Some(Codes { codes, scales, block }) = codes(tensor) else {
        return super::taken(Flex::dequantize(tensor.clone(), FloatDType::F32));
    };
    let mut values = Vec::with_capacity(codes.len());
    for (codes, scale) in codes.chunks(block).zip(scales) {
        values.extend(codes.iter().map(|code| scale * f32::from(*code)));
    }
    values
}
