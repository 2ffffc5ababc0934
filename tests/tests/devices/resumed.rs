//! A resumed run equals an uninterrupted run on every device: losses and adapter bit for bit, and on the CPU gradient norms too.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{AdapterConfig, Lora},
    llama::{AdapterLayout, CausalLm, ParameterKind, Targets, load_adapter, save_adapter},
    train::{Checkpoint, Checkpoints, Fitted, Observer, Recipe, TrainError, TrainEvent, Trainer, TrainingData},
};
use adamole_tests::{
    device, paces,
    shipped::{adapted_base, examples, recipe},
    workers,
};
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Asserts that task losses are equal, and gradient norms up to the rounding of a sum: a GPU may add in another order each time.
fn assert_same_steps(found: &[[f64; 2]], expected: &[[f64; 2]]) {
    let rounding = if adamole::device::is_cpu(&device()) { 0.0 } else { 1e-7 };
    let same = |[loss, norm]: &[f64; 2], [expected_loss, expected_norm]: &[f64; 2]| {
        loss == expected_loss && (norm - expected_norm).abs() <= rounding * expected_norm
    };
    let all =
        found.len() == expected.len() && found.iter().zip(expected).all(|(found, expected)| same(found, expected));
    assert!(all, "{found:?}, expected {expected:?}");
}

/// Records the steps of a run and saves the best adapter.
struct Recorder<'a> {
    steps: Vec<[f64; 2]>,
    done: &'a AtomicUsize,
    adapter: &'a Path,
}

impl Observer for Recorder<'_> {
    fn event(&mut self, event: &TrainEvent) -> Result<(), TrainError> {
        if let TrainEvent::Step(step) = event {
            self.steps.push([step.task_loss, step.gradient_norm]);
            self.done.store(self.steps.len(), Ordering::Relaxed);
        }
        Ok(())
    }

    fn best(&mut self, _epoch: usize, model: &CausalLm) -> Result<(), TrainError> {
        Ok(save_adapter(model, Some("base"), self.adapter)?)
    }
}

fn newest(checkpoints: &Checkpoints) -> Option<Checkpoint> {
    checkpoints.newest(|path, error| panic!("{}: {error}", path.display())).unwrap()
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_run() {
    paces().iter().copied().for_each(resumes);
}

fn resumes(runs_ahead: bool) {
    let folder = tempfile::tempdir().unwrap();
    let [training, validation] = examples(48, 4);
    let data = TrainingData { train: (&training).into(), validation: (&validation).into(), pad_id: 0 };
    let device = device().autodiff();
    let run = |checkpoints: &Checkpoints, stop_after: usize, adapter: &Path| {
        let done = AtomicUsize::new(0);
        let stop = || done.load(Ordering::Relaxed) >= stop_after;
        let mut recorder = Recorder { steps: Vec::new(), done: &done, adapter };
        let recipe = recipe(2);
        let trainer = Trainer::new(&recipe).workers(&workers()).checkpoints(checkpoints).resume(newest(checkpoints));
        let trainer = trainer.run_ahead(runs_ahead);
        let result = trainer.stop(&stop).fit(adapted_base(&device), data, &mut recorder);
        (recorder.steps, result)
    };
    let checkpoints = |name: &str| Checkpoints::new(folder.path().join(name), 1, 1);
    let adapter = |name: &str| folder.path().join(format!("{name}-adapter"));
    let bytes = |name: &str| fs::read(adapter(name).join("adapter_model.safetensors")).unwrap();

    let (whole, result) = run(&checkpoints("whole"), usize::MAX, &adapter("whole"));
    assert_eq!((whole.len(), result.is_ok()), (6, true));

    // In the middle of the second epoch.
    let (mut steps, result) = run(&checkpoints("broken"), 4, &adapter("broken"));
    assert!(matches!(result, Err(TrainError::Interrupted { steps: 4 })));
    let (rest, result) = run(&checkpoints("broken"), usize::MAX, &adapter("broken"));
    assert!(result.is_ok());
    steps.extend(rest);
    assert_same_steps(&steps, &whole);
    assert!(bytes("broken") == bytes("whole"), "the adapters differ");
}

/// Stops a run at each check of the stop condition, in turn, and resumes it.
#[test]
fn a_run_stopped_between_any_two_micro_batches_equals_an_uninterrupted_run() {
    paces().iter().copied().for_each(resumes_anywhere);
}

fn resumes_anywhere(runs_ahead: bool) {
    let folder = tempfile::tempdir().unwrap();
    let [training, validation] = examples(24, 4);
    let data = TrainingData { train: (&training).into(), validation: (&validation).into(), pad_id: 0 };
    let device = device().autodiff();
    // A chain of two LoRAs: the second one begins with the second epoch.
    let recipe = Recipe { chain_links: 2, ..recipe(2) };
    let run = |name: &str, stop_at: usize| {
        let checkpoints = Checkpoints::new(folder.path().join(name), 100, 1);
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) + 1 >= stop_at;
        let adapter = folder.path().join(name).join("adapter");
        let mut recorder = Recorder { steps: Vec::new(), done: &AtomicUsize::new(0), adapter: &adapter };
        let mut model = adapted_base(&device);
        let config = AdapterConfig::new(Lora, 4, 8.0, 0.05).unwrap();
        model.adapt(&AdapterLayout::uniform(config, &Targets::attention(), model.config()).unwrap(), 0);
        let trainer = Trainer::new(&recipe).workers(&workers()).checkpoints(&checkpoints).resume(newest(&checkpoints));
        let result = trainer.run_ahead(runs_ahead).stop(&stop).fit(model, data, &mut recorder);
        let saved = |fitted: Fitted| {
            let mut saved = fitted.model.without_adapters();
            load_adapter(&mut saved, &adapter).unwrap();
            let values = |model: &CausalLm| model.parameter_values(ParameterKind::Adapter);
            assert_eq!(values(&fitted.best.model), values(&saved), "the result equals the saved adapter");
            fitted.best.evaluation.choices().unwrap().predictions.clone()
        };
        (result.map(saved), asked.load(Ordering::Relaxed))
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
