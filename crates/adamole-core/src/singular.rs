//! Singular values and vectors of a matrix, by rotations of pairs of its rows (one-sided Jacobi; Hestenes 1958).

use rayon::prelude::*;

/// A singular value of a matrix `[rows, columns]` with its vectors, whose signs are free together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SingularTriple {
    /// At least 0.
    pub(crate) value: f64,
    /// One number for each row of the matrix.
    pub(crate) left: Vec<f64>,
    /// One number for each column of the matrix.
    pub(crate) right: Vec<f64>,
}

/// Rows count as orthogonal once the cosine of their angle is no larger than this.
const ORTHOGONAL: f64 = 1e-14;
/// Rows shorter than this share of the longest are rounding errors of rows of zeros.
const ZERO: f64 = 1e-15;
/// Convergence is quadratic: about ten are needed.
const MOST_SWEEPS: usize = 60;

/// The singular triples of a finite matrix `[rows, columns]`, which `values` has row by row: those of these `places` among
/// all of them from the largest value to the smallest. The vectors of a value of 0 are 0.
///
/// Takes about `8 k^2 l` multiplications for each of about ten sweeps, with k the lesser of the two sizes and l the
/// other. The result does not depend on the number of threads.
pub(crate) fn singular_triples(
    values: &[f32],
    [rows, columns]: [usize; 2],
    places: impl Iterator<Item = usize>,
) -> Vec<SingularTriple> {
    let is_wide = rows <= columns;
    let at = |row: usize, column: usize| f64::from(values[row * columns + column]);
    // The lesser number of vectors. Rotations leave them orthogonal: the values times the vectors of the other side.
    let mut vectors: Vec<Vec<f64>> = match is_wide {
        true => (0..rows).map(|row| (0..columns).map(|column| at(row, column)).collect()).collect(),
        false => (0..columns).map(|column| (0..rows).map(|row| at(row, column)).collect()).collect(),
    };
    let (count, length) = (vectors.len(), rows.max(columns));
    if !count.is_multiple_of(2) {
        vectors.push(vec![0.0; length]);
    }
    orthogonalise(&mut vectors);
    let mut sorted: Vec<(f64, Vec<f64>)> = vectors.into_iter().map(|vector| (norm(&vector), vector)).collect();
    sorted.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let smallest = sorted.first().map_or(0.0, |(largest, _)| largest * ZERO);

    let triple = |place: usize| {
        let (value, vector) = &sorted[place];
        let value = if *value > smallest { *value } else { 0.0 };
        let part = |number: f64| if value > 0.0 { number / value } else { 0.0 };
        let long: Vec<f64> = vector.iter().map(|number| part(*number)).collect();
        let sum = |of: usize| -> f64 {
            let product = |(index, number): (usize, &f64)| number * if is_wide { at(of, index) } else { at(index, of) };
            long.iter().enumerate().map(product).sum()
        };
        let short: Vec<f64> = (0..count).map(|of| part(sum(of))).collect();
        let (left, right) = if is_wide { (short, long) } else { (long, short) };
        SingularTriple { value, left, right }
    };
    places.map(triple).collect()
}

/// Rotates an even number of vectors, pair by pair, until all are orthogonal.
fn orthogonalise(vectors: &mut [Vec<f64>]) {
    let rounds = vectors.len().saturating_sub(1);
    for _ in 0..MOST_SWEEPS {
        let smallest = vectors.iter().map(|vector| norm(vector)).fold(0.0, f64::max) * ZERO;
        let mut rotated = false;
        // A tournament: after as many rounds every vector has met every other one.
        for _ in 0..rounds {
            let pairs = vectors.par_chunks_mut(2).with_min_len(8);
            let any = pairs.map(|pair| match pair {
                [first, second] => rotate(first, second, smallest),
                _ => false,
            });
            rotated |= any.reduce(|| false, |one, other| one | other);
            next_round(vectors);
        }
        if !rotated {
            return;
        }
    }
}

/// Seats the pairs of the next round: the first vector stays, the others move on by one seat along the table.
fn next_round(vectors: &mut [Vec<f64>]) {
    let pairs = vectors.len() / 2;
    // Seats 1, 3, 5 .. down one side and back up the other, but for seat 0.
    let upper = (1..pairs).map(|pair| 2 * pair);
    let lower = (0..pairs).rev().map(|pair| 2 * pair + 1);
    let seats: Vec<usize> = upper.chain(lower).collect();
    for seat in seats.windows(2).rev() {
        vectors.swap(seat[0], seat[1]);
    }
}

/// Makes two vectors orthogonal by a rotation. Returns whether they were not.
fn rotate(first: &mut [f64], second: &mut [f64], smallest: f64) -> bool {
    let (mut a, mut b, mut ab) = (0.0, 0.0, 0.0);
    for (x, y) in first.iter().zip(second.iter()) {
        a += x * x;
        b += y * y;
        ab += x * y;
    }
    let (long, short) = (a.max(b).sqrt(), a.min(b).sqrt());
    if short <= smallest || ab.abs() <= ORTHOGONAL * long * short {
        return false;
    }
    let zeta = (b - a) / (2.0 * ab);
    let tangent = zeta.signum() / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
    let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
    let sine = cosine * tangent;
    for (x, y) in first.iter_mut().zip(second.iter_mut()) {
        (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
    }
    true
}

fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|number| number * number).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CounterRng;

    /// The largest difference of a matrix from the sum of its triples, and of the products of vectors from 0 and 1.
    fn errors(values: &[f32], [rows, columns]: [usize; 2]) -> (f64, f64) {
        let triples = singular_triples(values, [rows, columns], 0..rows.min(columns));
        assert!(triples.is_sorted_by(|a, b| a.value >= b.value));
        let entry = |at: usize| {
            let (row, column) = (at / columns, at % columns);
            triples.iter().map(|it| it.value * it.left[row] * it.right[column]).sum::<f64>()
        };
        let rebuilt = values.iter().enumerate().map(|(at, value)| (entry(at) - f64::from(*value)).abs());
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let nonzero: Vec<_> = triples.iter().filter(|it| it.value > 0.0).collect();
        let pairs =
            nonzero.iter().enumerate().flat_map(|(i, one)| nonzero.iter().skip(i).map(move |other| (one, other)));
        let products = pairs.flat_map(|(one, other)| {
            let expected = if std::ptr::eq(*one, *other) { 1.0 } else { 0.0 };
            [product(&one.left, &other.left), product(&one.right, &other.right)].map(|it| (it - expected).abs())
        });
        (rebuilt.fold(0.0, f64::max), products.fold(0.0, f64::max))
    }

    #[test]
    fn matrices_of_any_shape_are_the_sum_of_their_triples() {
        for shape in [[6, 9], [9, 6], [7, 7], [1, 5], [5, 1], [40, 33]] {
            let values = CounterRng::new(&[1]).uniform(shape[0] * shape[1], 1.0);
            let (rebuilt, products) = errors(&values, shape);
            assert!(rebuilt < 1e-12 && products < 1e-11, "{shape:?}: {rebuilt:e} {products:e}");
        }
    }

    #[test]
    fn values_of_zero_have_vectors_of_zeros() {
        // The third row is the sum of the others.
        let values = [1.0, 2.0, 0.0, 0.0, 1.0, 3.0, 1.0, 3.0, 3.0];
        let (rebuilt, products) = errors(&values, [3, 3]);
        assert!(rebuilt < 1e-12 && products < 1e-12, "{rebuilt:e} {products:e}");
        let last = singular_triples(&values, [3, 3], 2..3).remove(0);
        assert_eq!((last.value, last.left), (0.0, vec![0.0; 3]));
        assert_eq!(singular_triples(&[0.0; 4], [2, 2], 0..1)[0].value, 0.0);
    }

    #[test]
    fn every_pair_meets_once_a_sweep() {
        for count in [2, 4, 10] {
            let mut seats: Vec<Vec<f64>> = (0..count).map(|number| vec![number as f64]).collect();
            let mut met = std::collections::BTreeSet::new();
            for _ in 0..count - 1 {
                for pair in seats.chunks(2) {
                    let [one, other] = [pair[0][0] as usize, pair[1][0] as usize];
                    assert!(met.insert((one.min(other), one.max(other))), "{one} and {other} met before");
                }
                next_round(&mut seats);
            }
            assert_eq!(met.len(), count * (count - 1) / 2);
        }
    }
}
