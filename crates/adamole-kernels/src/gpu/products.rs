//! Products. They are Burn's, whose fastest kernel for each shape is measured on the device, but for two kinds: 16 bits with sums and
//! results in float32, and float32 that keeps all its digits.

use super::{Float, cast, kernels::CubeKernels, launch::uninitialised};
use crate::AdapterProducts;
use burn::{
    backend::{TensorMetadata, cubecl::dtype_to_storage_type, ops::FloatTensorOps},
    tensor::{DType, Shape},
};
use burn_cubecl::{
    Cube,
    kernel::matmul::{MatmulStrategy, matmul as fastest},
    tensor::CubeTensor,
};
use cubek::{
    matmul::{
        definition::{MatmulElems, MatmulGlobalElems},
        launch::launch_ref,
        multi_level::{
            Strategy,
            routines::{TileSizeSelection, batch::simple_unit::SimpleUnitSelectionArgs},
        },
        routine::BlueprintStrategy,
    },
    std::InputBinding,
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
        DType::F32 => matmul(cast(left, DType::F32), cast(right, DType::F32)),
        narrow => Cube::cube_product(cast(left, narrow), cast(right, narrow), false),
    }
}

/// `left right` in the type of both.
pub(super) fn matmul(left: Float, right: Float) -> Float {
    match left.dtype() {
        DType::F32 if AdapterProducts::chosen() == AdapterProducts::Float32 => Cube::cube_product(left, right, true),
        _ => Cube::float_matmul(left, right),
    }
}

/// `left right` in float32 whatever the operands are. An exact one takes no tensor core, for which CubeCL rounds float32 to TF32
/// (`adjust_dtypes` of cubek-matmul 0.3.1).
pub(super) fn in_float32(left: CubeTensor, right: CubeTensor, is_exact: bool) -> CubeTensor {
    // Burn's strategy has a kernel for every shape, and so has the last one here.
    if !is_exact {
        return fastest(left, right, None, MatmulStrategy::default(), DType::F32).expect("a kernel for this product");
    }
    let y = uninitialised(&left, shape(&left.shape(), &right.shape()), DType::F32);
    let unit = SimpleUnitSelectionArgs { tile_size: TileSizeSelection::MaxTileSize };
    let strategies = [Strategy::SimpleUnit(BlueprintStrategy::Inferred(unit)), Strategy::Naive];
    let launched = strategies.into_iter().any(|strategy| launch(strategy, &left, &right, &y));
    assert!(launched, "a kernel for this product");
    y
}

/// That of `left right`, matrices or batches of them.
pub(super) fn shape(left: &Shape, right: &Shape) -> Shape {
    let mut shape = left.clone();
    if let (Some(columns), Some(of_right)) = (shape.last_mut(), right.last()) {
        *columns = *of_right;
    }
    shape
}

fn launch(strategy: Strategy, left: &CubeTensor, right: &CubeTensor, y: &CubeTensor) -> bool {
    let [of_left, of_right, of_y] = [left, right, y].map(|it| dtype_to_storage_type(it.dtype));
    let [left, right] =
        [(left, of_left), (right, of_right)].map(|(it, dtype)| InputBinding::new(it.clone().binding(), dtype));
    let mut types = MatmulElems::from_globals(&MatmulGlobalElems { lhs: of_left, rhs: of_right, out: of_y });
    launch_ref(&strategy.into(), &y.client, left, right, y.clone().binding(), &mut types).is_ok()
}
