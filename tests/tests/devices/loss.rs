//! The loss alone: value and gradient equal those of the CPU. Other tests do not detect a wrong value with a right gradient.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{core::CounterRng, llama::frozen_cross_entropy};
use adamole_tests::{assert_close, cpu, device, values};
use burn::tensor::{Device, Int, Tensor, TensorData};

const ROWS: usize = 13;
const WIDTH: usize = 32;
const VOCABULARY: usize = 1792;

fn inputs(device: &Device) -> (Tensor<2>, Tensor<2>, Tensor<1, Int>) {
    let mut rng = CounterRng::new(&[7]);
    let mut random =
        |shape: [usize; 2]| Tensor::from_data(TensorData::new(rng.normal(shape[0] * shape[1], 1.0), shape), device);
    let (hidden, projection) = (random([ROWS, WIDTH]), random([VOCABULARY, WIDTH]));
    let targets: Vec<i32> = (0..ROWS).map(|row| (row * 137 % VOCABULARY) as i32).collect();
    (hidden, projection, Tensor::from_data(TensorData::new(targets, [ROWS]), device))
}

#[test]
fn value_and_gradient_equal_those_of_the_cpu() {
    let of = |device: &Device| {
        let (hidden, projection, targets) = inputs(&device.clone().autodiff());
        let hidden = hidden.require_grad();
        let loss = frozen_cross_entropy(hidden.clone(), projection, None, targets, ROWS as f32);
        let gradients = loss.backward();
        (values(loss.into_data()), values(hidden.grad(&gradients).unwrap().into_data()))
    };
    let ((loss, gradient), (expected, expected_gradient)) = (of(&device()), of(&cpu()));
    eprintln!("loss {loss:?}, expected {expected:?}");
    assert_close("gradient", &gradient, &expected_gradient, 1e-6, 1e-4);
    assert_close("loss", &loss, &expected, 1e-5, 1e-5);
}
