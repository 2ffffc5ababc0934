//! Products with the weights of a linear, kept in float32 or in 16 bits.

#[cfg(target_arch = "x86_64")]
use super::bfloat16;
use super::{
    elements::Floats,
    few_rows,
    product::{Matrix, product},
};
use burn::backend::{TensorMetadata, flex::FlexTensor};
use half::bf16;

/// For other processors there are no kernels.
#[cfg(not(target_arch = "x86_64"))]
mod bfloat16 {
    use half::bf16;

    pub(super) fn is_supported() -> bool {
        false
    }

    pub(super) fn by_rows(_: &[bf16], _: &[bf16], _: [usize; 3]) -> Vec<f32> {
        unreachable!("unsupported")
    }

    pub(super) use by_rows as by_columns;
}

/// `x weight^T`: `[rows, d_in]` to `[rows, d_out]`.
pub(super) fn linear(x: &FlexTensor, weight: &FlexTensor) -> Vec<f32> {
    let ([rows, d_in], [d_out, _]) = (x.shape().dims(), weight.shape().dims());
    let weight = weight.to_contiguous();
    let sizes = [rows, d_in, d_out];
    if few_rows::are_few(rows)
        && let Some(weight) = weight.as_slice::<bf16>()
    {
        return few_rows::product(Floats::of(x).slice(), &few_rows::Halves(weight), sizes);
    }
    let x = x.to_contiguous();
    match (x.as_slice::<bf16>(), weight.as_slice::<bf16>()) {
        (Some(x), Some(weight)) if bfloat16::is_supported() => bfloat16::by_rows(x, weight, sizes),
        _ => by_rows(Floats::of(&x).slice(), Floats::of(&weight).slice(), sizes),
    }
}

/// `x weight^T` in float32: `[rows, d_in]` and `[d_out, d_in]` to `[rows, d_out]`.
pub(super) fn by_rows(x: &[f32], weight: &[f32], sizes: [usize; 3]) -> Vec<f32> {
    let [rows, d_in, d_out] = sizes;
    match few_rows::are_few(rows) {
        true => few_rows::product(x, &few_rows::Floats(weight), sizes),
        false => product(Matrix::new(x, rows, d_in), Matrix::new(weight, d_out, d_in).transposed()),
    }
}

/// `d weight`: `[rows, d_out]` to `[rows, d_in]`.
pub(super) fn linear_backward(d: &FlexTensor, weight: &FlexTensor) -> Vec<f32> {
    let ([rows, d_out], [_, d_in]) = (d.shape().dims(), weight.shape().dims());
    let [d, weight] = [d, weight].map(FlexTensor::to_contiguous);
    match (d.as_slice::<bf16>(), weight.as_slice::<bf16>()) {
        (Some(d), Some(weight)) if bfloat16::is_supported() => bfloat16::by_columns(d, weight, [rows, d_out, d_in]),
        _ => product(Floats::of(&d).matrix(), Floats::of(&weight).matrix()),
    }
}
