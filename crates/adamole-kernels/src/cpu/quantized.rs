//! Dequantisation.

use burn::{
    backend::{Flex, TensorMetadata, flex::FlexQTensor, ops::QTensorOps},
    tensor::FloatDType,
};

/// The dequantised weights, `scale code`, in row-major order. Blocks within rows, the layout of this workspace, take one pass
/// over the codes; Burn handles the other layouts.
pub(super) fn floats(tensor: &FlexQTensor) -> Vec<f32> {
    let shape = tensor.tensor().shape();
    let (elements, scales) = (shape.num_elements(), tensor.scales());
    let block = elements / scales.len().max(1);
    let in_rows = tensor.scheme().block_size().is_none_or(|size| {
        let dims = size.to_dim_vec(shape.num_dims());
        dims.iter().rev().skip(1).all(|dim| *dim == 1)
    });
    match tensor.tensor().as_slice::<i8>() {
        Some(codes) if in_rows && block * scales.len() == elements && tensor.tensor().is_contiguous() => {
            let mut values = Vec::with_capacity(elements);
            for (codes, scale) in codes.chunks(block.max(1)).zip(scales) {
                values.extend(codes.iter().map(|code| scale * f32::from(*code)));
            }
            values
        }
        _ => super::taken(Flex::dequantize(tensor.clone(), FloatDType::F32)),
    }
}
