//! A run that was stopped and goes on from its checkpoint is the unbroken one, to the last bit, on every device.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{AdapterConfig, Lora},
    llama::{AdapterLayout, CausalLm, Targets, save_adapter},
    train::{Checkpoints, Control, Recipe, TrainError, TrainEvent, TrainingData, train},
};
use adamole_tests::{
    device,
    shipped::{adapted_base, examples, recipe},
    workers,
};
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

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
        let (mut steps, done) = (Vec::new(), AtomicUsize::new(0));
        let stop = || done.load(Ordering::Relaxed) >= stop_after;
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
                done.store(steps.len(), Ordering::Relaxed);
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

/// Whenever it is asked whether to stop, it does, the next time it is asked after what came of that.
#[test]
fn a_run_that_is_stopped_between_any_two_micro_batches_is_the_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let [training, validation] = examples(24, 4);
    let data = TrainingData { train: &training, validation: &validation, pad_id: 0 };
    let device = device().autodiff();
    // Two links: the first step of the second epoch is also where a link begins.
    let recipe = Recipe { chain_links: 2, ..recipe(2) };
    let run = |name: &str, stop_at: usize| {
        let checkpoints = Checkpoints::new(folder.path().join(name), 100, 1);
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) + 1 >= stop_at;
        let control = Control {
            checkpoints: Some(&checkpoints),
            resume: checkpoints.newest(|path, error| panic!("{}: {error}", path.display())).unwrap(),
            stop: Some(&stop),
            devices: &[],
        };
        let adapter = folder.path().join(name).join("adapter");
        let save = |_: &TrainEvent, best: Option<&CausalLm>| {
            best.map_or(Ok(()), |model| save_adapter(model, Some("base"), &adapter).map_err(TrainError::from))
        };
        let mut model = adapted_base(&device);
        let config = AdapterConfig::new(Lora, 4, 8.0, 0.05).unwrap();
        let layers = model.config().num_hidden_layers;
        model.adapt(&AdapterLayout::uniform(config, &Targets::attention(), layers), 0);
        let result = train(model, data, &recipe, &workers(), &device, control, save);
        (result.map(|outcome| outcome.best.1.predictions), asked.load(Ordering::Relaxed))
    };
    let adapter = |name: &str| fs::read(folder.path().join(name).join("adapter/adapter_model.safetensors")).unwrap();
    let (whole, asked) = run("whole", usize::MAX);
    assert!(asked > 12, "{asked}");
    for stop_at in 1..=asked {
        let (result, _) = run("broken", stop_at);
        assert!(matches!(result, Err(TrainError::Interrupted { .. })), "{stop_at}: {result:?}");
        let (resumed, _) = run("broken", usize::MAX);
        assert_eq!(resumed.unwrap(), *whole.as_ref().unwrap(), "{stop_at}");
        assert!(adapter("broken") == adapter("whole"), "stopped at {stop_at} of {asked}");
        fs::remove_dir_all(folder.path().join("broken")).unwrap();
    }
}
