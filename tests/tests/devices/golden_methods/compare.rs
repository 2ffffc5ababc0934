//! Comparisons of a case, with the tolerances of its README, and the largest differences.

use adamole_tests::{Case, values};
use burn::tensor::{Tensor, TensorData};

/// The largest differences of a case by kind.
#[derive(Debug, Default)]
pub(super) struct Largest {
    pub(super) y: f32,
    pub(super) weights: f32,
    pub(super) gradients: f32,
}

impl Drop for Largest {
    fn drop(&mut self) {
        let Self { y, weights, gradients } = self;
        eprintln!("    y {y:.1e}, weights {weights:.1e}, gradients {gradients:.1e} of the largest entry");
    }
}

/// Asserts that every element is within `absolute` of what is expected, plus `relative` to the largest element. Returns the
/// largest difference.
#[track_caller]
pub(super) fn close(what: &str, actual: &[f32], expected: &[f32], absolute: f32, relative: f32) -> f32 {
    assert_eq!(actual.len(), expected.len(), "{what}: lengths");
    let largest = expected.iter().fold(0.0, |max: f32, value| max.max(value.abs()));
    let allowed = absolute + relative * largest;
    let mut worst = 0.0_f32;
    for (i, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let difference = (actual - expected).abs();
        assert!(difference <= allowed, "{what}[{i}]: {actual}, expected {expected} within {allowed:e}");
        worst = worst.max(difference);
    }
    worst
}

/// [`close`] for what a tensor of the case holds, by the tolerance of outputs and weights.
#[track_caller]
pub(super) fn equals<const D: usize>(case: &Case, key: &str, actual: Tensor<D>) -> f32 {
    let expected = match key.starts_with("selected") || key.starts_with("counts") {
        true => case.integers(key).iter().map(|value| *value as f32).collect(),
        false => case.floats(key),
    };
    close(key, &values(actual.into_data()), &expected, 5e-5, 0.0)
}

/// [`close`] for a gradient. Returns the largest difference as a share of the largest element.
#[track_caller]
pub(super) fn gradient(case: &Case, key: &str, actual: TensorData) -> f32 {
    let relative = if case.json["method"] == "ldmole" { 2e-4 } else { 1e-4 };
    let expected = case.floats(key);
    let largest = expected.iter().fold(0.0, |max: f32, value| max.max(value.abs()));
    let difference = close(key, &values(actual), &expected, 1e-5, relative);
    if largest > 0.0 { difference / largest.max(1.0) } else { 0.0 }
}
