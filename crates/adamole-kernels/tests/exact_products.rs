//! Products in float32 that keep all digits. The choice is one of the whole process, so that this is a test of its own.
#![cfg(feature = "flex")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod device;

use adamole_kernels::{AdapterProducts, CounterRng, linear, linear_gradient};
use burn::tensor::{Tensor, TensorData};
use device::device;

/// Tensor cores that round operands to TF32 are off by 1e-3.
const TOLERANCE: f64 = 2e-6;

fn random(seed: u64, [rows, columns]: [usize; 2]) -> (Vec<f32>, Tensor<2>) {
    let values = CounterRng::new(&[seed]).normal(rows * columns, 1.0);
    let tensor = Tensor::from_data(TensorData::new(values.clone(), [rows, columns]), &device());
    (values, tensor)
}

/// `sum_i left(row, i) right(i, column)` in float64, and the sum of the sizes of what is added.
fn product(count: usize, left: impl Fn(usize) -> f32, right: impl Fn(usize) -> f32) -> (f64, f64) {
    let terms = (0..count).map(|i| f64::from(left(i)) * f64::from(right(i)));
    terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
}

#[test]
fn exact_products_equal_their_composed_form_in_float64() {
    AdapterProducts::Float32.choose();
    for (i, [rows, d_in, d_out]) in [[1, 64, 32], [5, 33, 7], [64, 128, 96], [130, 200, 70]].into_iter().enumerate() {
        let (x, of_x) = random(3 * i as u64, [rows, d_in]);
        let (weight, of_weight) = random(3 * i as u64 + 1, [d_out, d_in]);
        let (d, of_d) = random(3 * i as u64 + 2, [rows, d_out]);
        let y: Vec<f32> = linear(of_x, of_weight.clone()).into_data().try_to_vec().unwrap();
        let of_input: Vec<f32> = linear_gradient(of_d, of_weight).into_data().try_to_vec().unwrap();
        for row in 0..rows {
            for column in 0..d_out {
                let expected = product(d_in, |i| x[row * d_in + i], |i| weight[column * d_in + i]);
                assert_close(y[row * d_out + column], expected);
            }
            for column in 0..d_in {
                let expected = product(d_out, |i| d[row * d_out + i], |i| weight[i * d_in + column]);
                assert_close(of_input[row * d_in + column], expected);
            }
        }
    }
}

fn assert_close(found: f32, (expected, size): (f64, f64)) {
    assert!((f64::from(found) - expected).abs() <= TOLERANCE * size, "{found}, expected {expected}");
}
