//! The weights of attention from the products of queries and keys, and the gradient of these products: a cube for each row.
//! Which keys a query sees is computed from a few numbers, so that no mask is read.

use super::launch::{alike, contiguous, cube_each, element, largest_of_cube, sum_of_cube, uninitialised, units_of_row};
use crate::operations::AttentionScores;
use burn::{backend::TensorMetadata, tensor::DType};
use burn_cubecl::{
    cubecl::{self, ir::ElemType, prelude::*},
    tensor::CubeTensor,
};

/// What queries see of a part of the keys, as [`Visibility`](crate::Visibility) describes it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The number of queries and keys of the whole sequence.
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    /// The first query and the first key of this part.
    pub(crate) first_query: usize,
    pub(crate) first_key: usize,
    /// Whether the first visible keys, and the hidden ones, are given for each sequence.
    pub(crate) first_each: bool,
    pub(crate) hidden_each: bool,
}

/// How scores come from products.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Curve {
    scale: f32,
    /// 0 without a cap.
    cap: f32,
}

#[cube]
fn score(product: f32, curve: &Curve, #[comptime] has_cap: bool) -> f32 {
    if has_cap { (product * curve.scale / curve.cap).tanh() * curve.cap } else { product * curve.scale }
}

/// A part of an attention.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Part {
    queries: usize,
    keys: usize,
    first_query: usize,
    first_key: usize,
    /// Queries and keys of this part.
    part_queries: usize,
    part_keys: usize,
    heads: usize,
    /// The distance between the rows of two sequences in `first`; 0 where sequences are alike.
    first_stride: usize,
    /// The same for `hidden`.
    hidden_stride: usize,
}

/// What the row of this cube sees.
#[derive(CubeType, Clone, Copy)]
struct Row {
    /// The first key; -1 where it sees nothing.
    first: i32,
    /// The last key.
    last: usize,
    /// Where the keys of its sequence begin in `hidden`.
    hidden: usize,
}

#[cube]
fn row_of_cube(first: &Tensor<i32>, part: &Part) -> Row {
    let query = CUBE_POS % part.part_queries + part.first_query;
    let sequence = CUBE_POS / part.part_queries / part.heads;
    Row {
        first: first[sequence * part.first_stride + query],
        last: part.keys - part.queries + query,
        hidden: sequence * part.hidden_stride,
    }
}

/// Whether a row sees a key of the whole sequence.
#[cube]
fn sees(key: usize, row: &Row, hidden: &Tensor<i32>, #[comptime] has_hidden: bool) -> bool {
    let mut seen = key <= row.last && key as i32 >= row.first;
    if has_hidden {
        seen = seen && hidden[row.hidden + key] == 0;
    }
    seen
}

/// The weight of a key of the whole sequence with this bounded score, from what the row was normalised by.
#[cube]
fn weight_again(
    bounded: f32,
    key: usize,
    row: &Row,
    hidden: &Tensor<i32>,
    largest: f32,
    inverse: f32,
    #[comptime] has_hidden: bool,
) -> f32 {
    let mut weight = 0.0f32;
    if row.first < 0 {
        weight = inverse;
    } else if sees(key, row, hidden, has_hidden) {
        weight = (bounded - largest).exp() * inverse;
    }
    weight
}

#[cube(launch)]
fn weigh<F: Float>(
    products: &Tensor<F>,
    first: &Tensor<i32>,
    hidden: &Tensor<i32>,
    weights: &mut Tensor<F>,
    norms: &mut Tensor<f32>,
    part: &Part,
    curve: &Curve,
    #[comptime] has_cap: bool,
    #[comptime] has_hidden: bool,
    #[comptime] units: usize,
    #[define(F)] _type: ElemType,
) {
    let start = CUBE_POS * part.part_keys;
    if start >= products.len() {
        terminate!();
    }
    let row = row_of_cube(first, part);
    let mut scratch = Shared::<[f32]>::new_slice(units);

    let mut largest = comptime!(f32::MIN).runtime();
    let mut column = UNIT_POS as usize;
    while column < part.part_keys {
        if sees(column + part.first_key, &row, hidden, has_hidden) {
            largest = largest.max(score(f32::cast_from(products[start + column]), curve, has_cap));
        }
        column += units;
    }
    let mut largest = largest_of_cube(largest, &mut scratch, units);

    let mut sum = 0.0f32;
    let mut column = UNIT_POS as usize;
    while column < part.part_keys {
        if sees(column + part.first_key, &row, hidden, has_hidden) {
            sum += (score(f32::cast_from(products[start + column]), curve, has_cap) - largest).exp();
        }
        column += units;
    }
    let mut sum = sum_of_cube(sum, &mut scratch, units);
    // Every key alike.
    if row.first < 0 {
        largest = 0.0f32.runtime();
        sum = f32::cast_from(part.keys as u32);
    }
    let mut column = UNIT_POS as usize;
    while column < part.part_keys {
        let mut weight = 0.0f32;
        if row.first < 0 {
            weight = 1.0 / sum;
        } else if sees(column + part.first_key, &row, hidden, has_hidden) {
            weight = (score(f32::cast_from(products[start + column]), curve, has_cap) - largest).exp() / sum;
        }
        weights[start + column] = F::cast_from(weight);
        column += units;
    }
    if UNIT_POS == 0 {
        norms[2 * CUBE_POS] = largest;
        norms[2 * CUBE_POS + 1] = 1.0 / sum;
    }
}

/// The weights again, and with `d` their gradient that of the products, `slope p (d - sum(d p))`.
#[cube(launch)]
fn weigh_backward<F: Float>(
    products: &Tensor<F>,
    d: &Tensor<F>,
    norms: &Tensor<f32>,
    first: &Tensor<i32>,
    hidden: &Tensor<i32>,
    weights: &mut Tensor<F>,
    of_products: &mut Tensor<F>,
    part: &Part,
    curve: &Curve,
    #[comptime] has_cap: bool,
    #[comptime] has_hidden: bool,
    #[comptime] units: usize,
    #[define(F)] _type: ElemType,
) {
    let start = CUBE_POS * part.part_keys;
    if start >= products.len() {
        terminate!();
    }
    let row = row_of_cube(first, part);
    let largest = norms[2 * CUBE_POS];
    let inverse = norms[2 * CUBE_POS + 1];
    let mut scratch = Shared::<[f32]>::new_slice(units);

    let mut mean = 0.0f32;
    let mut column = UNIT_POS as usize;
    while column < part.part_keys {
        let bounded = score(f32::cast_from(products[start + column]), curve, has_cap);
        let weight = weight_again(bounded, column + part.first_key, &row, hidden, largest, inverse, has_hidden);
        mean += weight * f32::cast_from(d[start + column]);
        weights[start + column] = F::cast_from(weight);
        column += units;
    }
    let mean = sum_of_cube(mean, &mut scratch, units);
    let mut column = UNIT_POS as usize;
    while column < part.part_keys {
        let bounded = score(f32::cast_from(products[start + column]), curve, has_cap);
        let weight = weight_again(bounded, column + part.first_key, &row, hidden, largest, inverse, has_hidden);
        let mut slope = curve.scale;
        if has_cap {
            let share = bounded / curve.cap;
            slope *= 1.0 - share * share;
        }
        let gradient = slope * weight * (f32::cast_from(d[start + column]) - mean);
        of_products[start + column] = F::cast_from(gradient);
        column += units;
    }
}

/// `[B, heads, queries, keys]` and what describes them.
struct Launch {
    part: PartLaunch,
    curve: CurveLaunch,
    has_cap: bool,
    has_hidden: bool,
}

impl Launch {
    fn new(products: &CubeTensor, hidden: &CubeTensor, seen: &Seen, scores: AttentionScores) -> Self {
        let [_, heads, part_queries, part_keys] = products.shape().dims();
        let has_hidden = hidden.meta.num_elements() > 1;
        let Seen { queries, keys, first_query, first_key, first_each, hidden_each } = *seen;
        let stride = |each, length| if each { length } else { 0 };
        Self {
            part: PartLaunch::new(
                queries,
                keys,
                first_query,
                first_key,
                part_queries,
                part_keys,
                heads,
                stride(first_each, queries),
                stride(hidden_each, keys),
            ),
            curve: CurveLaunch::new(scores.scale, scores.cap.unwrap_or(0.0)),
            has_cap: scores.cap.is_some(),
            has_hidden,
        }
    }
}

/// The weights, in the type of the products, and of each row the largest score and the inverse of the sum of exponentials,
/// `[B, heads, queries, 2]`.
pub(super) fn attention_weights(
    products: CubeTensor,
    first: CubeTensor,
    hidden: CubeTensor,
    seen: &Seen,
    scores: AttentionScores,
) -> (CubeTensor, CubeTensor) {
    let [products, first, hidden] = contiguous([products, first, hidden]);
    let [sequences, heads, queries, keys] = products.shape().dims();
    let (weights, norms) = (alike(&products), uninitialised(&products, [sequences, heads, queries, 2], DType::F32));
    let (client, dtype) = (products.client.clone(), element(&products));
    let Launch { part, curve, has_cap, has_hidden } = Launch::new(&products, &hidden, seen, scores);
    let units = units_of_row(keys);
    let (count, dim) = cube_each(&client, sequences * heads * queries, units);
    let [products, first, hidden] = [products, first, hidden].map(CubeTensor::into_tensor_arg);
    let [y, of_rows] = [weights.clone(), norms.clone()].map(CubeTensor::into_tensor_arg);
    weigh::launch(
        &client, count, dim, products, first, hidden, y, of_rows, part, curve, has_cap, has_hidden, units, dtype,
    );
    (weights, norms)
}

/// The weights, and the gradient of the products where `d` is that of the weights.
pub(super) fn attention_weights_backward(
    [products, d, norms]: [CubeTensor; 3],
    first: CubeTensor,
    hidden: CubeTensor,
    seen: &Seen,
    scores: AttentionScores,
) -> (CubeTensor, CubeTensor) {
    let [products, d, norms, first, hidden] = contiguous([products, d, norms, first, hidden]);
    let [sequences, heads, queries, keys] = products.shape().dims();
    let (weights, of_products) = (alike(&products), alike(&products));
    let (client, dtype) = (products.client.clone(), element(&products));
    let Launch { part, curve, has_cap, has_hidden } = Launch::new(&products, &hidden, seen, scores);
    let units = units_of_row(keys);
    let (count, dim) = cube_each(&client, sequences * heads * queries, units);
    let [products, d, norms, first, hidden] = [products, d, norms, first, hidden].map(CubeTensor::into_tensor_arg);
    let [y, gradient] = [weights.clone(), of_products.clone()].map(CubeTensor::into_tensor_arg);
    weigh_backward::launch(
        &client, count, dim, products, d, norms, first, hidden, y, gradient, part, curve, has_cap, has_hidden, units,
        dtype,
    );
    (weights, of_products)
}
