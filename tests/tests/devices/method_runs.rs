//! Every method of the program in short runs: resumed, saved and loaded, and counted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{AdapterConfig, METHODS, Method, MethodKind, MethodSettings},
    llama::{AdapterLayout, CausalLm, LinearShapes, ParameterKind, Targets, load_adapter, save_adapter},
    train::{Checkpoints, Fitted, Recipe, TrainError, TrainEvent, Trainer, TrainingData},
};
use adamole_tests::{
    device,
    shipped::{adapted_base, examples, recipe},
    workers,
};
use burn::tensor::TensorData;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The method with its defaults, and with few experts.
fn with_defaults(kind: &MethodKind) -> Arc<dyn Method> {
    let value = |name: &str| match name {
        "num_experts" => Some(4.into()),
        "top_k" if kind.name == "mole" => None,
        name => kind.setting(name).and_then(|setting| setting.default_value()),
    };
    let settings = kind.settings.iter().map(|it| (it.name.to_owned(), value(it.name).unwrap_or_default()));
    (kind.build)(&settings.collect::<MethodSettings>()).unwrap()
}

fn config(kind: &MethodKind) -> AdapterConfig {
    AdapterConfig::with_method(with_defaults(kind), 4, 8.0, 0.05).unwrap()
}

fn adapted(kind: &MethodKind) -> CausalLm {
    let mut model = adapted_base(&device().autodiff());
    let targets = Targets::try_from(vec!["q_proj".into(), "v_proj".into(), "down_proj".into()]).unwrap();
    model.adapt(&AdapterLayout::uniform(config(kind), &targets, model.config()).unwrap(), 0);
    model
}

/// Three steps, of which `stop_after` are done in the first go.
fn run(kind: &MethodKind, folder: &Path, stop_after: usize, recipe: &Recipe) -> (Result<Fitted, TrainError>, usize) {
    let [training, validation] = examples(12, 4);
    let data = TrainingData { train: &training, validation: &validation, pad_id: 0 };
    let (done, trained) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut observer = |event: &TrainEvent| {
        match event {
            TrainEvent::Step(_) => drop(done.fetch_add(1, Ordering::Relaxed)),
            TrainEvent::Start { trainable_parameters, .. } => trained.store(*trainable_parameters, Ordering::Relaxed),
            _ => {}
        }
        Ok(())
    };
    let stop = || done.load(Ordering::Relaxed) >= stop_after;
    let checkpoints = Checkpoints::new(folder.to_owned(), 1, 1);
    let newest = checkpoints.newest(|path, error| panic!("{}: {error}", path.display())).unwrap();
    let trainer = Trainer::new(recipe).workers(&workers()).checkpoints(&checkpoints).resume(newest).stop(&stop);
    (trainer.fit(adapted(kind), data, &mut observer), trained.into_inner())
}

fn values(model: &CausalLm) -> Vec<(String, TensorData)> {
    model.parameter_values(ParameterKind::Adapter)
}

fn floats(data: TensorData) -> Vec<f32> {
    adamole_tests::values(data)
}

fn short() -> Recipe {
    Recipe { batch_size: 4, micro_batch_size: 2, warmup_steps: 0, warmup_from_zero: false, ..recipe(1) }
}

#[test]
fn a_resumed_run_of_every_method_equals_an_uninterrupted_run() {
    for kind in METHODS {
        let folder = tempfile::tempdir().unwrap();
        for checkpoint_blocks in [false, true] {
            let recipe = Recipe { checkpoint_blocks, ..short() };
            let place = |name: &str| folder.path().join(format!("{name}-{checkpoint_blocks}"));
            let whole = run(kind, &place("whole"), usize::MAX, &recipe).0.unwrap();
            let broken = run(kind, &place("broken"), 2, &recipe).0;
            assert!(matches!(broken, Err(TrainError::Interrupted { steps: 2 })), "{}", kind.name);
            let resumed = run(kind, &place("broken"), usize::MAX, &recipe).0.unwrap();
            assert_eq!(values(&resumed.model), values(&whole.model), "{}: the adapters differ", kind.name);
            let start = values(&adapted(kind));
            assert!(values(&whole.model) != start, "{}: nothing was trained", kind.name);
        }
    }
}

/// The first step of Adam moves every parameter by its learning rate.
#[test]
fn b_learns_at_a_rate_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let kind = MethodKind::by_name("hydralora").unwrap();
    let moved = |loraplus_lr_ratio: Option<f64>| {
        let recipe = Recipe { loraplus_lr_ratio, batch_size: 12, micro_batch_size: 12, ..short() };
        let place = folder.path().join(format!("{loraplus_lr_ratio:?}"));
        let after = values(&run(kind, &place, usize::MAX, &recipe).0.unwrap().model);
        let largest = |name: &str| {
            let before = values(&adapted(kind)).into_iter().zip(&after).filter(|((key, _), _)| key.ends_with(name));
            let differences = before.map(|((_, before), (_, after))| {
                adamole_tests::max_difference(&floats(before), &floats(after.clone()))
            });
            differences.fold(0.0, f32::max)
        };
        (largest("adapter.b"), largest("adapter.gate").max(largest("adapter.a")))
    };
    let (plain, with_ratio) = (moved(None), moved(Some(16.0)));
    assert!((plain.0 - 1e-3).abs() < 1e-5 && (with_ratio.0 - 16e-3).abs() < 1e-4, "{plain:?} {with_ratio:?}");
    assert!(plain.1 == with_ratio.1, "{plain:?} {with_ratio:?}");
}

#[test]
fn adapters_of_every_method_are_saved_and_loaded() {
    for kind in METHODS {
        let folder = tempfile::tempdir().unwrap();
        let model = run(kind, &folder.path().join("run"), usize::MAX, &short()).0.unwrap().model;
        let adapter = folder.path().join("adapter");
        save_adapter(&model, Some("base"), &adapter).unwrap();
        let mut loaded = model.clone().without_adapters();
        let layout = load_adapter(&mut loaded, &adapter).unwrap();
        assert_eq!(layout, model.layout(), "{}", kind.name);
        assert_eq!(values(&loaded), values(&model), "{}", kind.name);
    }
}

#[test]
fn parameters_of_every_method_are_counted_before_they_are_made() {
    for kind in METHODS {
        let folder = tempfile::tempdir().unwrap();
        let (_, trained) = run(kind, folder.path(), 1, &short());
        let model = adapted(kind);
        assert_eq!(LinearShapes::of(model.config()).adapter_elements(&model.layout()), trained, "{}", kind.name);
    }
}
