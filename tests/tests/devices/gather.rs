//! Burn's `gather` in one kernel with an operation on a wider matrix, in operations of Burn alone. Burn 0.22.1 gives wrong values without
//! an error: `docs/upstream/gather.md`. Where they are wrong, the test prints it and passes, since the program does not use `gather`; it
//! fails where `select`, which is used instead, is wrong.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole_tests::{device, values};
use burn::tensor::{Device, Int, Tensor, TensorData};

const ROWS: usize = 8;
const COLUMNS: usize = 4;

/// Row r is 10 r, 10 r + 1 and so on.
fn matrix() -> Vec<f32> {
    (0..ROWS * COLUMNS).map(|at| (at / COLUMNS * 10 + at % COLUMNS) as f32).collect()
}

/// `0 * 2` plus the element at column `r mod COLUMNS` of each row r, over the whole width.
fn picked(device: &Device, pick: impl Fn(Tensor<2>, Tensor<2, Int>) -> Tensor<2>) -> Vec<f32> {
    let of = |values: Vec<f32>| Tensor::<2>::from_data(TensorData::new(values, [ROWS, COLUMNS]), device);
    let columns: Vec<i32> = (0..ROWS).map(|row| (row % COLUMNS) as i32).collect();
    let columns = Tensor::<2, Int>::from_data(TensorData::new(columns, [ROWS, 1]), device);
    // Before the operations: what comes from the host between them would keep them in kernels of their own.
    let (wide, matrix) = (of(vec![0.0; ROWS * COLUMNS]), of(matrix()));
    values((wide * 2.0 + pick(matrix, columns)).into_data())
}

#[test]
fn select_beside_a_wider_operation_is_right_and_gather_is_reported() {
    let expected: Vec<f32> = (0..ROWS).flat_map(|row| [(10 * row + row % COLUMNS) as f32; COLUMNS]).collect();
    let gathered = picked(&device(), |matrix, columns| matrix.gather(1, columns));
    let verdict = if gathered == expected { "right" } else { "WRONG" };
    eprintln!("gather: {verdict}: {gathered:?}, expected {expected:?}");
    let selected = picked(&device(), |matrix, columns| {
        let starts = Tensor::<1, Int>::arange(0..ROWS as i64, (&device(), columns.dtype())) * COLUMNS as i64;
        let flat = matrix.reshape([ROWS * COLUMNS]);
        flat.select(0, starts + columns.reshape([ROWS])).reshape([ROWS, 1])
    });
    assert_eq!(selected, expected);
}
