//! Quantised weights: their codes, their values, and products with them.

use super::{
    elements::Floats,
    few_rows::{self, Codes},
    product::{Matrix, product},
};
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

/// `x weight^T`: `[rows, d_in]` to `[rows, d_out]`.
pub(super) fn linear(x: &Floats, weight: &FlexQTensor) -> Vec<f32> {
    let ([d_out, d_in], rows) = (weight.tensor().shape().dims(), x.matrix().rows);
    match codes(weight) {
        Some(codes) if few_rows::are_few(rows) => few_rows::product(x.slice(), &codes, [rows, d_in, d_out]),
        _ => product(x.matrix(), Matrix::new(&floats(weight), d_out, d_in).transposed()),
    }
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
