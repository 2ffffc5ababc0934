//! A step on several devices equals the step on one. On the CPU both devices are the same; with a GPU backend, the second one is
//! the same GPU under another name, with separate memory and queues.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    llama::CausalLm,
    train::{Recipe, Replicas, StepInput, TrainEvent, Trainer, TrainingData, Workers, accumulate},
};
use adamole_tests::{
    assert_close, device, flat_gradients,
    shipped::{adapted_base, examples, micro_batches, recipe},
};
use burn::tensor::Device;

fn second() -> Device {
    #[cfg(feature = "wgpu")]
    if adamole_tests::device_name().starts_with("wgpu") {
        let other = Device::wgpu(burn::tensor::DeviceKind::DefaultDevice);
        assert_ne!(other, device());
        return other;
    }
    device()
}

/// The tolerance: a GPU backend selects the fastest kernels for each device, which may round differently.
fn rounding() -> f32 {
    if adamole::device::is_cpu(&device()) { 0.0 } else { 1e-6 }
}

/// Asserts that losses and norms agree within `relative`; 0 asks for equality.
#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], relative: f32) {
    assert_eq!(found.len(), expected.len());
    let near = |(found, expected): (&f64, &f64)| (found - expected).abs() <= f64::from(relative) * expected.abs();
    assert!(found.iter().zip(expected).all(near), "{found:?}, expected {expected:?}");
}

#[test]
fn gradients_of_several_devices_equal_those_of_one() {
    let [training, _] = examples(9, 1);
    let (device, second) = (device().autodiff(), second().autodiff());
    let mut model = adapted_base(&device);
    let batches = micro_batches(&training, 3);
    let replicas = Replicas::new(&model, &[second]);
    let compare = |model: &CausalLm, step, checkpoint_blocks| {
        let recipe = Recipe { seed: 5, balance_coefficient: 1e-2, checkpoint_blocks, ..Recipe::default() };
        let input = StepInput { batches: &batches, step, recipe: &recipe };
        let one = accumulate(model, input, &Workers::new(1), &Replicas::default()).unwrap();
        let several = accumulate(model, input, &Workers::new(2), &replicas).unwrap();
        let [found, expected] = [&several, &one].map(|step| [step.task_loss, step.balance_loss.unwrap()]);
        assert_near(&found, &expected, rounding());
        assert_eq!((several.routing, several.tokens), (one.routing, one.tokens));
        let gradients = flat_gradients(model, &several.gradients);
        assert!(gradients.iter().any(|gradient| *gradient != 0.0));
        assert_close("gradients", &gradients, &flat_gradients(model, &one.gradients), rounding(), 10.0 * rounding());
    };
    compare(&model, 1, false);
    compare(&model, 1, true);
    // The replicas follow new adapters.
    model.adapt(&model.layout(), 99);
    compare(&model, 2, false);
}

#[test]
fn a_run_on_several_devices_equals_that_on_one() {
    let [training, validation] = examples(32, 4);
    let data = TrainingData { train: (&training).into(), validation: (&validation).into(), pad_id: 0 };
    let (device, second) = (device().autodiff(), second().autodiff());
    let curve = |others: &[Device]| {
        let mut curve = Vec::new();
        let mut observer = |event: &TrainEvent| {
            if let TrainEvent::Step(step) = event {
                curve.extend([step.task_loss, step.gradient_norm]);
            }
            Ok(())
        };
        let (recipe, workers) = (recipe(2), Workers::new(1 + others.len()));
        let trainer = Trainer::new(&recipe).workers(&workers).devices(others);
        trainer.fit(adapted_base(&device), data, &mut observer).unwrap();
        curve
    };
    let one = curve(&[]);
    assert_eq!(one.len(), 8);
    assert_near(&curve(&[second]), &one, 10.0 * rounding());
}

/// Burn's collective operations support CUDA only. If this fails, they have come to other backends, and gradients can use them.
#[test]
fn burns_collective_operations_do_not_support_this_device() {
    use burn::tensor::{
        Tensor,
        distributed::{ReduceOperation, all_reduce},
    };
    let device = device();
    let reduce = || {
        let tensor = Tensor::<1>::from_data([1.0, 2.0], &device);
        all_reduce(tensor, ReduceOperation::Sum, vec![device.clone()]).resolve().into_data()
    };
    let failure = std::panic::catch_unwind(std::panic::AssertUnwindSafe(reduce)).err();
    let message = failure.and_then(|payload| {
        payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()))
    });
    eprintln!("all_reduce: {message:?}");
    assert!(message.is_some());
}
