//! Matrix products into given buffers.

use gemm::{Parallelism, gemm};

/// Multiplications from which on a product uses the thread pool: Burn's limit.
const PARALLEL: usize = 192 * 192 * 192;

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
    let (m, n, k) = (left.rows, right.columns, left.columns);
    assert!(k == right.rows && left.end() <= left.values.len() && right.end() <= right.values.len());
    let parallelism = if m * n * k >= PARALLEL { Parallelism::Rayon(0) } else { Parallelism::None };
    // SAFETY: the caller guarantees the size of `y`, the assertion that of the operands.
    unsafe {
        gemm(
            m,
            n,
            k,
            y,
            1,
            n as isize,
            accumulate,
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
            parallelism,
        );
    }
}
