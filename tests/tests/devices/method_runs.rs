//! Every method of the program in short runs: resumed, saved and loaded, and counted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{AdapterConfig, DropoutScope, METHODS, Method, MethodKind, MethodSettings},
    data::DataSet,
    llama::{
        AdapterLayout, CausalLm, LinearShapes, ModelError, ParameterKind, ParameterMapper, Targets, load_adapter,
        save_adapter,
    },
    train::{
        Checkpoints, Fitted, Recipe, Replicas, StepInput, TrainError, TrainEvent, Trainer, TrainingData, accumulate,
    },
};
use adamole_tests::{
    device, flat_gradients, max_difference,
    shipped::{adapted_base, examples, micro_batches, recipe},
    workers,
};
use burn::{
    module::Param,
    tensor::{Tensor, TensorData},
};
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
        "top_k" => Some(2.into()),
        // Where a state that is trained by mistake has a gradient.
        "variant" => Some("minimal".into()),
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
    let data =
        TrainingData { train: DataSet::Choices(&training), validation: DataSet::Choices(&validation), pad_id: 0 };
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
fn every_method_goes_on_as_if_it_had_not_been_stopped() {
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
            let coefficient = |fitted: &Fitted| fitted.state.auxiliary_coefficient;
            assert_eq!(coefficient(&resumed), coefficient(&whole), "{}", kind.name);
            assert_eq!(coefficient(&whole).is_some(), kind.name == "remole", "{}", kind.name);
            let state = |(name, values): (String, TensorData)| (name.ends_with("adapter.bias")).then(|| floats(values));
            let states = values(&resumed.model).into_iter().filter_map(state).collect::<Vec<_>>();
            assert_eq!(!states.is_empty(), kind.name == "flylora", "{}", kind.name);
            assert!(states.iter().all(|state| state.iter().any(|bias| *bias != 0.0)), "a state did not move");
            assert!(values(&whole.model) != start, "{}: nothing was trained", kind.name);
            let kept = |model: &CausalLm| {
                let values = values(model).into_iter();
                values.filter(|(name, _)| name.contains("adapter.initial_")).collect::<Vec<_>>()
            };
            assert_eq!(kept(&whole.model), kept(&adapted(kind)), "{}: what is subtracted was trained", kind.name);
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
            let differences =
                before.map(|((_, before), (_, after))| max_difference(&floats(before), &floats(after.clone())));
            differences.fold(0.0, f32::max)
        };
        (largest("adapter.b"), largest("adapter.gate").max(largest("adapter.a")))
    };
    let (plain, with_ratio) = (moved(None), moved(Some(16.0)));
    assert!((plain.0 - 1e-3).abs() < 1e-5 && (with_ratio.0 - 16e-3).abs() < 1e-4, "{plain:?} {with_ratio:?}");
    assert!(plain.1 == with_ratio.1, "{plain:?} {with_ratio:?}");
}

#[test]
fn activation_checkpointing_gives_the_gradients_of_every_method() {
    let [training, _] = examples(4, 0);
    let batches = micro_batches(&training, 2);
    for kind in METHODS {
        let mut model = adapted(kind);
        // Where B is 0 nothing else has a gradient.
        model = model.map_parameters(&mut Shifted);
        let trained: Vec<_> = model.parameters().into_iter().filter(|it| it.trained).collect();
        for dropout_scope in [DropoutScope::Layer, DropoutScope::Expert] {
            let gradients = |checkpoint_blocks: bool| {
                let recipe =
                    Recipe { seed: 5, balance_coefficient: 1.0, checkpoint_blocks, dropout_scope, ..Recipe::default() };
                let input = StepInput { batches: &batches, step: 2, recipe: &recipe };
                let outcome = accumulate(&model, input, &workers(), &Replicas::default()).unwrap();
                assert_eq!(outcome.gradients.len(), trained.len(), "{}: what is trained has a gradient", kind.name);
                (flat_gradients(&model, &outcome.gradients), outcome.balance_loss)
            };
            let ((expected, loss), (found, again)) = (gradients(false), gradients(true));
            assert_eq!(loss, again, "{}", kind.name);
            let largest = expected.iter().fold(0.0, |max: f32, value| max.max(value.abs()));
            assert!(max_difference(&found, &expected) < 2e-5 * largest, "{}", kind.name);
        }
    }
}

/// Adds a little to every parameter of an adapter.
struct Shifted;

impl ParameterMapper for Shifted {
    fn map<const D: usize>(&mut self, _: String, kind: ParameterKind, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let is_trained = param.val().is_require_grad();
        match kind == ParameterKind::Adapter && is_trained {
            true => param.map(|value| Tensor::from_inner(value.inner() + 0.01).require_grad()),
            false => param,
        }
    }
}

#[test]
fn linears_with_as_many_inputs_share_what_their_method_says() {
    let kind = MethodKind::by_name("ldmole").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let model = run(kind, &folder.path().join("run"), usize::MAX, &short()).0.unwrap().model;
    let shared = model.parameters().into_iter().filter(|it| it.name.contains("sparsity.0.weight"));
    // Those of attention's linears and that of the feed-forward block's last one.
    assert_eq!(shared.count(), 2);

    let adapter = folder.path().join("adapter");
    save_adapter(&model, None, &adapter).unwrap();
    let file = adapter.join("adapter_model.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut shared = tensors.tensors().into_iter().filter(|(name, _)| name.contains("sparsegen")).map(|(_, it)| it);
    let start = shared.next_back().unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize;
    bytes[start] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let error = load_adapter(&mut model.without_adapters(), &adapter).unwrap_err();
    assert!(matches!(error, ModelError::UnequalCopies { .. }), "{error}");
}

#[test]
fn experts_that_start_from_more_singular_values_than_there_are_have_no_layout() {
    let config =
        AdapterConfig::with_method(with_defaults(MethodKind::by_name("goat").unwrap()), 10_000, 8.0, 0.0).unwrap();
    let model = adapted_base(&device());
    let error = AdapterLayout::uniform(config, &Targets::attention(), model.config()).unwrap_err().to_string();
    assert!(error.starts_with("rank is 10000, expected at most") && error.contains("q_proj"), "{error}");
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
