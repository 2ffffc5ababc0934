//! Matrix products into given buffers.

use crate::team;
use gemm::{Parallelism, gemm};
use std::ops::Range;

/// Multiplications from which on a product is shared by threads: Burn's limit.
const PARALLEL: usize = 192 * 192 * 192;
/// The least rows or columns of a part. Products of at most 64 are added in another order.
const LEAST_PART: usize = 128;

/// A matrix view of a slice, possibly transposed.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix of {rows} by {columns}");
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some of its rows.
    fn rows(self, rows: Range<usize>) -> Self {
        Self { values: &self.values[rows.start * self.row_stride..], rows: rows.len(), ..self }
    }

    /// Some of its columns.
    fn columns(self, columns: Range<usize>) -> Self {
        self.transposed().rows(columns).transposed()
    }

    /// One more than the index of the last element.
    fn end(&self) -> usize {
        match self.rows * self.columns {
            0 => 0,
            _ => (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1,
        }
    }
}

/// `left right`, in row-major order.
pub(super) fn product(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    let (rows, columns) = (left.rows, right.columns);
    if left.columns == 0 {
        return vec![0.0; rows * columns];
    }
    let mut y: Vec<f32> = Vec::with_capacity(rows * columns);
    // SAFETY: the buffer holds `rows * columns` elements, all of which the product writes and none of which it reads.
    unsafe {
        write(y.as_mut_ptr(), false, left, right);
        y.set_len(rows * columns);
    }
    y
}

/// `y = left right`.
pub(super) fn write_product(y: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    assert!(y.len() == left.rows * right.columns && left.columns > 0);
    // SAFETY: `y` is as large as the product.
    unsafe { write(y.as_mut_ptr(), false, left, right) }
}

/// `y += left right`.
pub(super) fn add_product(y: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    assert_eq!(y.len(), left.rows * right.columns);
    if left.columns > 0 {
        // SAFETY: `y` is as large as the product.
        unsafe { write(y.as_mut_ptr(), true, left, right) }
    }
}

/// # Safety
/// `y` points to `left.rows` rows of `right.columns` elements.
unsafe fn write(y: *mut f32, accumulate: bool, left: Matrix<'_>, right: Matrix<'_>) {
    let (m, n) = (left.rows, right.columns);
    assert!(left.columns == right.rows && left.end() <= left.values.len() && right.end() <= right.values.len());
    let result = Target { y, row_stride: n, accumulate };
    let threads = if m * n * left.columns >= PARALLEL { team::threads() } else { 1 };
    if threads == 1 || m.max(n) < 2 * LEAST_PART {
        // SAFETY: the caller guarantees the size of `y`, the assertion that of the operands.
        return unsafe { result.write(left, right) };
    }
    // The longer side is divided, and the operand of the other one packed once more for each part.
    let part = m.max(n).div_ceil((m.max(n) / LEAST_PART).min(2 * threads));
    let parts = (0..m.max(n)).step_by(part).map(|start| start..(start + part).min(m.max(n))).collect();
    team::share(parts, |part: Range<usize>| {
        // SAFETY: parts do not overlap; each is within `y` and the operands.
        unsafe {
            if m >= n {
                result.at(part.start, 0).write(left.rows(part), right);
            } else {
                result.at(0, part.start).write(left, right.columns(part));
            }
        }
    });
}

/// Where a product, or a part of one, is written.
#[derive(Clone, Copy)]
struct Target {
    y: *mut f32,
    row_stride: usize,
    accumulate: bool,
}

// SAFETY: the parts that threads write do not overlap.
unsafe impl Sync for Target {}

impl Target {
    /// The place of a part.
    ///
    /// # Safety
    /// The element is within the product.
    unsafe fn at(&self, row: usize, column: usize) -> Self {
        // SAFETY: the caller guarantees it.
        Self { y: unsafe { self.y.add(row * self.row_stride + column) }, ..*self }
    }

    /// # Safety
    /// The rows and columns of the product are within what `y` points to, and the operands have all their elements.
    unsafe fn write(&self, left: Matrix<'_>, right: Matrix<'_>) {
        // SAFETY: the caller guarantees it.
        unsafe {
            gemm(
                left.rows,
                right.columns,
                left.columns,
                self.y,
                1,
                self.row_stride as isize,
                self.accumulate,
                left.values.as_ptr(),
                left.column_stride as isize,
                left.row_stride as isize,
                right.values.as_ptr(),
                right.column_stride as isize,
                right.row_stride as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CounterRng, Team};

    /// The product where so many others are idle.
    fn shared(idle: usize, left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
        let team = Team::new();
        (0..idle).for_each(|_| team.work(|| ()));
        team.work(|| product(left, right))
    }

    #[test]
    fn a_shared_product_has_the_same_bits() {
        for [m, n, k] in [[300, 200, 150], [257, 1000, 64], [1000, 33, 700], [2048, 576, 32], [64, 3000, 576]] {
            let values = |seed, count| CounterRng::new(&[seed]).normal(count, 1.0);
            let (left, right) = (values(1, m * k), values(2, n * k));
            let (left, right) = (Matrix::new(&left, m, k), Matrix::new(&right, n, k).transposed());
            let alone = shared(0, left, right);
            for idle in [1, 3, 7] {
                assert!(shared(idle, left, right) == alone, "{m} x {n} x {k}, {idle} idle");
            }
        }
    }
}
