//! The experts with the highest scores.

use burn::tensor::Tensor;

/// The first, second, .. k-th choice of each row of `scores` `[T, N]` as ones in `[T, N]`, without gradient; among equals the first.
pub fn top_choices(scores: Tensor<2>, k: usize) -> Vec<Tensor<2>> {
    #[cfg(feature = "cube")]
    if is_cube(&scores) {
        return (0..k.min(scores.dims()[1])).map(|rank| of_ranks(&scores, rank..rank + 1)).collect();
    }
    composed::top_choices(scores, k)
}

/// The k first choices of each row together: ones and zeros in `[T, N]`, without gradient; see [`top_choices`].
pub fn top_k(scores: Tensor<2>, k: usize) -> Tensor<2> {
    #[cfg(feature = "cube")]
    if is_cube(&scores) {
        return of_ranks(&scores, 0..k);
    }
    composed::top_k(scores, k)
}

#[cfg(feature = "cube")]
fn is_cube(scores: &Tensor<2>) -> bool {
    crate::operations::is_fused(scores) && crate::operations::is_cube(&scores.device())
}

/// The choices of these ranks, the highest being 0.
#[cfg(feature = "cube")]
fn of_ranks(scores: &Tensor<2>, ranks: std::ops::Range<usize>) -> Tensor<2> {
    let chosen = |scores: Tensor<2>| Tensor::from_dispatch(crate::gpu::chosen(scores.into_dispatch(), ranks));
    match scores.is_autodiff() {
        true => Tensor::from_inner(chosen(scores.clone().inner())),
        false => chosen(scores.clone()),
    }
}

pub(crate) mod composed {
    use burn::tensor::{Int, Tensor};

    /// See [`top_choices`](crate::top_choices).
    ///
    /// N is small, so k passes over the row are cheaper than a sort, and leave no doubt about equals.
    pub fn top_choices(scores: Tensor<2>, k: usize) -> Vec<Tensor<2>> {
        let [rows, experts] = scores.dims();
        let columns = Tensor::<1, Int>::arange(0..experts as i64, &scores.device()).reshape([1, experts]);
        let columns = columns.expand([rows, experts]);
        let mut rest = scores.detach();
        (0..k.min(experts))
            .map(|_| {
                let best = rest.clone().argmax(1).expand([rows, experts]).equal(columns.clone());
                rest = rest.clone().mask_fill(best.clone(), f32::NEG_INFINITY);
                best.float()
            })
            .collect()
    }

    /// See [`top_k`](crate::top_k).
    pub fn top_k(scores: Tensor<2>, k: usize) -> Tensor<2> {
        let none = || scores.zeros_like();
        top_choices(scores.clone(), k).into_iter().reduce(|sum, choice| sum + choice).unwrap_or_else(none)
    }
}
