//! Norms of many tensors.

use burn::tensor::Tensor;

/// The sums of the squares of each of several tensors, `[tensors, parts]`, in parts that the host adds up; `None` without tensors.
/// For tensors without autodiff. On a GPU one launch for each tensor, and one transfer for all.
pub fn square_sums(tensors: Vec<Tensor<1>>) -> Option<Tensor<2>> {
    let (count, device) = (tensors.len(), tensors.first()?.device());
    #[cfg(feature = "cube")]
    if crate::operations::is_cube(&device) {
        let sums = Tensor::<2>::empty([count, crate::gpu::SQUARE_SUMS], &device).into_dispatch();
        let tensors = tensors.into_iter().map(Tensor::into_dispatch).enumerate();
        return Some(Tensor::from_dispatch(tensors.fold(sums, |sums, (row, x)| crate::gpu::square_sums(x, sums, row))));
    }
    let _ = device;
    let sums = tensors.into_iter().map(|x| x.square().sum()).collect();
    Some(Tensor::cat(sums, 0).reshape([count, 1]))
}
