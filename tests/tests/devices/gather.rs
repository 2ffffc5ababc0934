//! Burn's `gather` beside its `select`, in operations of Burn alone: Burn 0.22.1 fuses `gather` with operations on the wider matrix
//! that it reads, and gives wrong values on some devices, without an error. The CPU's values are the expected ones. Where they
//! differ, the test prints it and passes: the program does not use `gather`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::core::CounterRng;
use adamole_tests::{assert_close, cpu, device, max_difference, values};
use burn::tensor::{Device, Int, Tensor, TensorData};

const ROWS: usize = 13;
const COLUMNS: usize = 1792;

/// The cross-entropy of each row of random logits: with the target's logit by `select`, and by `gather`.
fn losses(device: &Device) -> [Vec<f32>; 2] {
    let logits = || {
        let logits = CounterRng::new(&[7]).normal(ROWS * COLUMNS, 1.0);
        // The result of an operation, as in a model: constants are not fused.
        Tensor::<2>::from_data(TensorData::new(logits, [ROWS, COLUMNS]), device) * 3.0
    };
    let targets: Vec<i32> = (0..ROWS).map(|row| (row * 137 % COLUMNS) as i32).collect();
    let targets = || Tensor::<1, Int>::from_data(TensorData::new(targets.clone(), [ROWS]), device);
    let loss = |logits: Tensor<2>, picked: Tensor<2>| {
        let max = logits.clone().max_dim(1);
        let sum = (logits - max.clone()).exp().sum_dim(1);
        values((sum.log() + max - picked).into_data())
    };
    let selected = {
        let (logits, targets) = (logits(), targets());
        let starts = Tensor::<1, Int>::arange(0..ROWS as i64, (device, targets.dtype())) * COLUMNS as i64;
        let picked = logits.clone().reshape([ROWS * COLUMNS]).select(0, starts + targets).reshape([ROWS, 1]);
        loss(logits, picked)
    };
    let gathered = {
        let (logits, targets) = (logits(), targets());
        let picked = logits.clone().gather(1, targets.reshape([ROWS, 1]));
        loss(logits, picked)
    };
    [selected, gathered]
}

#[test]
fn select_gives_the_values_of_the_cpu_and_gather_is_reported() {
    let ([selected, gathered], [expected, _]) = (losses(&device()), losses(&cpu()));
    let difference = max_difference(&gathered, &expected);
    let verdict = if difference < 1e-4 { "right" } else { "WRONG" };
    eprintln!("gather: {verdict}, largest difference {difference:e}: {gathered:?}, expected {expected:?}");
    assert_close("select", &selected, &expected, 1e-4, 1e-5);
}
