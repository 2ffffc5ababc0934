//! Attention in parts of the queries. No matrix of all scores is kept: the backward pass computes the products again, and a part is
//! as large as a limit on scores allows.

use super::{Float, kernels::CubeKernels, products::matmul, weights::Seen};
use crate::{Visibility, operations::AttentionScores};
use burn::{
    backend::{
        TensorMetadata,
        ops::{FloatTensorOps, IntTensorOps},
        tensor::IntTensor,
    },
    tensor::{Shape, Slice},
};
use burn_cubecl::Cube;
use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The most scores at a time, of all sequences and heads: 128 MiB in 16 bits.
static MOST_SCORES: AtomicUsize = AtomicUsize::new(1 << 26);

/// Has attention on GPUs compute so many scores at a time. For tests, whose texts are short.
#[doc(hidden)]
pub fn limit_attention_scores(most: usize) {
    MOST_SCORES.store(most, Ordering::Relaxed);
}

/// Sizes of an attention.
#[derive(Clone, Copy)]
struct Sizes {
    sequences: usize,
    heads: usize,
    kv_heads: usize,
    queries: usize,
    keys: usize,
    width: usize,
}

/// Some queries, and the keys of which one of them sees something.
struct Part {
    queries: Range<usize>,
    keys: Range<usize>,
}

impl Sizes {
    fn of(q: &Float, k: &Float) -> Self {
        let [sequences, heads, queries, width] = q.shape().dims();
        let [_, kv_heads, keys, _] = k.shape().dims();
        Self { sequences, heads, kv_heads, queries, keys, width }
    }

    fn parts(self, visible: &Visibility) -> Vec<Part> {
        let most = MOST_SCORES.load(Ordering::Relaxed);
        let rows = (most / (self.sequences * self.heads * self.keys).max(1)).max(1);
        let starts = (0..self.queries).step_by(rows);
        starts.map(|start| Part::new(start..self.queries.min(start + rows), self, visible)).collect()
    }

    /// The queries of a part. Those that share a key head lie one after the other, so that keys and values are not repeated.
    fn queries_of(self, q: &Float, part: &Part) -> Float {
        self.grouped(sliced(q, &part.queries), part, self.width)
    }

    /// `[B, kv_heads, group queries, n]` to `[B, heads, queries, n]`.
    fn by_head(self, x: Float, part: &Part, columns: usize) -> Float {
        Cube::float_reshape(x, Shape::from([self.sequences, self.heads, part.queries.len(), columns]))
    }

    /// The inverse of [`Self::by_head`].
    fn grouped(self, x: Float, part: &Part, columns: usize) -> Float {
        let rows = self.heads / self.kv_heads * part.queries.len();
        Cube::float_reshape(x, Shape::from([self.sequences, self.kv_heads, rows, columns]))
    }
}

impl Part {
    fn new(queries: Range<usize>, sizes: Sizes, visible: &Visibility) -> Self {
        let keys = if visible.has_blind() {
            0..sizes.keys
        } else {
            visible.first_of(queries.clone())..visible.last(queries.end - 1) + 1
        };
        Self { queries, keys }
    }

    fn seen(&self, visible: &Visibility) -> Seen {
        Seen {
            queries: visible.queries(),
            keys: visible.keys(),
            first_query: self.queries.start,
            first_key: self.keys.start,
            first_each: visible.first_each(),
            hidden_each: visible.hidden_each(),
        }
    }
}

/// A range of dimension 2 of a tensor of four: queries or keys.
fn sliced(x: &Float, range: &Range<usize>) -> Float {
    let shape: [usize; 4] = x.shape().dims();
    if range.len() == shape[2] { x.clone() } else { Cube::float_slice(x.clone(), &slices(shape, range)) }
}

/// Adds to a range of dimension 2.
fn added(sum: Float, range: &Range<usize>, part: Float) -> Float {
    let shape: [usize; 4] = sum.shape().dims();
    if range.len() == shape[2] {
        return Cube::float_add(sum, part);
    }
    let part = Cube::float_add(sliced(&sum, range), part);
    Cube::float_slice_assign(sum, &slices(shape, range), part)
}

fn slices(shape: [usize; 4], range: &Range<usize>) -> [Slice; 4] {
    let [sequences, heads, _, width] = shape.map(|length| Slice::from(0..length));
    [sequences, heads, Slice::from(range.clone()), width]
}

/// The tensors as one, along dimension 2.
fn joined(mut parts: Vec<Float>) -> Float {
    if parts.len() == 1 { parts.remove(0) } else { Cube::float_cat(parts, 2) }
}

/// What the kernels know of the visible keys, on the device of a tensor.
fn numbers(visible: &Visibility, of: &Float) -> [IntTensor<Cube>; 2] {
    visible.on_device(|data| Cube::int_from_data(data, &of.device()))
}

/// The mixed values, `[B queries, heads d]`, and the norms of each row, `[B, heads, queries, 2]`.
pub(super) fn forward([q, k, v]: [Float; 3], visible: &Visibility, scores: AttentionScores) -> [Float; 2] {
    let sizes = Sizes::of(&q, &k);
    let [first, hidden] = numbers(visible, &q);
    let (mixed, norms): (Vec<_>, Vec<_>) = sizes
        .parts(visible)
        .iter()
        .map(|part| {
            let [k, v] = [&k, &v].map(|x| sliced(x, &part.keys));
            let products = matmul(sizes.queries_of(&q, part), Cube::float_swap_dims(k, 2, 3));
            let products = sizes.by_head(products, part, part.keys.len());
            let seen = part.seen(visible);
            let (weights, norms) = Cube::cube_attention_weights(products, first.clone(), hidden.clone(), seen, scores);
            let mixed = matmul(sizes.grouped(weights, part, part.keys.len()), v);
            (sizes.by_head(mixed, part, sizes.width), norms)
        })
        .unzip();
    let mixed = Cube::float_swap_dims(joined(mixed), 1, 2);
    let shape = Shape::from([sizes.sequences * sizes.queries, sizes.heads * sizes.width]);
    [Cube::float_reshape(mixed, shape), joined(norms)]
}

/// The gradients of `q`, `k` and `v`.
pub(super) fn backward(
    [q, k, v]: [Float; 3],
    norms: Float,
    visible: &Visibility,
    scores: AttentionScores,
    d: Float,
) -> [Float; 3] {
    let sizes = Sizes::of(&q, &k);
    let [first, hidden] = numbers(visible, &q);
    let by_position = Shape::from([sizes.sequences, sizes.queries, sizes.heads, sizes.width]);
    let d = Cube::float_swap_dims(Cube::float_reshape(d, by_position), 1, 2);
    let (mut of_q, mut of_keys): (Vec<Float>, Option<[Float; 2]>) = (Vec::new(), None);
    for part in sizes.parts(visible) {
        let [k_seen, v_seen] = [&k, &v].map(|x| sliced(x, &part.keys));
        let [queries, d] = [&q, &d].map(|x| sizes.queries_of(x, &part));
        let columns = part.keys.len();
        let by_head = |x| sizes.by_head(x, &part, columns);
        let products = by_head(matmul(queries.clone(), Cube::float_swap_dims(k_seen.clone(), 2, 3)));
        let of_weights = by_head(matmul(d.clone(), Cube::float_swap_dims(v_seen, 2, 3)));
        let norms = sliced(&norms, &part.queries);
        let seen = part.seen(visible);
        let (weights, of_products) = Cube::cube_attention_weights_backward(
            products,
            of_weights,
            norms,
            first.clone(),
            hidden.clone(),
            seen,
            scores,
        );
        let [weights, of_products] = [weights, of_products].map(|x| sizes.grouped(x, &part, columns));
        let of_part = matmul(of_products.clone(), k_seen);
        of_q.push(sizes.by_head(of_part, &part, sizes.width));
        let of_k = matmul(Cube::float_swap_dims(of_products, 2, 3), queries);
        let of_v = matmul(Cube::float_swap_dims(weights, 2, 3), d);
        let is_whole = columns == sizes.keys && part.queries.len() == sizes.queries;
        of_keys = Some(match of_keys.take() {
            None if is_whole => [of_k, of_v],
            sums => {
                let [sum_k, sum_v] = sums.unwrap_or_else(|| [&k, &v].map(zeros_like));
                [added(sum_k, &part.keys, of_k), added(sum_v, &part.keys, of_v)]
            }
        });
    }
    let [of_k, of_v] = of_keys.unwrap_or_else(|| [&k, &v].map(zeros_like));
    [joined(of_q), of_k, of_v]
}

fn zeros_like(x: &Float) -> Float {
    Cube::float_zeros(x.shape(), &x.device(), x.dtype().into())
}
