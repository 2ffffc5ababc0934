//! Products with adapters in mixed precision: operands in the 16 bits of the base, sums and results in float32.

use super::{Float, cast, kernels::CubeKernels};
use crate::AdapterProducts;
use burn::{backend::ops::FloatTensorOps, tensor::DType};
use burn_cubecl::{
    Cube,
    kernel::matmul::{MatmulStrategy, matmul},
    tensor::CubeTensor,
};

/// The type of the operands beside activations of this one.
pub(super) fn operands_beside(activations: DType) -> DType {
    let is_narrow = match (activations, AdapterProducts::chosen()) {
        (DType::BF16, chosen) => chosen != AdapterProducts::Float32,
        (DType::F16, chosen) => chosen == AdapterProducts::Narrow,
        _ => false,
    };
    if is_narrow { activations } else { DType::F32 }
}

/// `left right` in float32, beside activations of this type.
pub(super) fn product(left: Float, right: Float, activations: DType) -> Float {
    match operands_beside(activations) {
        DType::F32 => Cube::float_matmul(cast(left, DType::F32), cast(right, DType::F32)),
        narrow => Cube::cube_product(cast(left, narrow), cast(right, narrow)),
    }
}

/// A product of matrices in float32 whatever the operands are.
pub(super) fn in_float32(left: CubeTensor, right: CubeTensor) -> CubeTensor {
    // As Burn's own product does: the strategy has a kernel for every shape.
    matmul(left, right, None, MatmulStrategy::default(), DType::F32).expect("a kernel for this product")
}
