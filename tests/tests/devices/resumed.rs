//! A run that was stopped and goes on from its checkpoint is the unbroken one, to the last bit, on every device.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    llama::{CausalLm, save_adapter},
    train::{Checkpoints, Control, TrainError, TrainEvent, TrainingData, train},
};
use adamole_tests::{
    device,
    shipped::{adapted_base, examples, recipe},
    workers,
};
use std::{cell::Cell, fs, path::Path};

/// What a run leaves behind: its task losses and gradient norms, and the bytes of its adapter.
#[derive(Debug, PartialEq)]
struct Trace {
    steps: Vec<[f64; 2]>,
    adapter: Vec<u8>,
}

#[test]
fn a_resumed_run_is_the_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let [training, validation] = examples(48, 4);
    let data = TrainingData { train: &training, validation: &validation, pad_id: 0 };
    let device = device().autodiff();
    let run = |checkpoints: &Checkpoints, stop_after: usize, adapter: &Path| {
        let (mut steps, done) = (Vec::new(), Cell::new(0));
        let stop = || done.get() >= stop_after;
        let control = Control {
            checkpoints: Some(checkpoints),
            resume: checkpoints.newest(|path, error| panic!("{}: {error}", path.display())).unwrap(),
            stop: Some(&stop),
            devices: &[],
        };
        let model = adapted_base(&device);
        let result = train(model, data, &recipe(2), &workers(), &device, control, |event, best: Option<&CausalLm>| {
            if let TrainEvent::Step(step) = event {
                steps.push([step.task_loss, step.gradient_norm]);
                done.set(steps.len());
            }
            best.map_or(Ok(()), |model| save_adapter(model, Some("base"), adapter).map_err(TrainError::from))
        });
        (steps, result)
    };
    let checkpoints = |name: &str| Checkpoints::new(folder.path().join(name), 1, 1);
    let adapter = |name: &str| folder.path().join(format!("{name}-adapter"));
    let bytes = |name: &str| fs::read(adapter(name).join("adapter_model.safetensors")).unwrap();

    let (steps, result) = run(&checkpoints("whole"), usize::MAX, &adapter("whole"));
    assert_eq!((steps.len(), result.is_ok()), (6, true));
    let whole = Trace { steps, adapter: bytes("whole") };

    // In the middle of the second epoch.
    let (mut steps, result) = run(&checkpoints("broken"), 4, &adapter("broken"));
    assert!(matches!(result, Err(TrainError::Interrupted { steps: 4 })));
    let (rest, result) = run(&checkpoints("broken"), usize::MAX, &adapter("broken"));
    assert!(result.is_ok());
    steps.extend(rest);
    assert_eq!(Trace { steps, adapter: bytes("broken") }, whole);
}
