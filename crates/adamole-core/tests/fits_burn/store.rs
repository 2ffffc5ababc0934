//! Adapters of a module as a file.

use crate::linear::quantised;
use adamole_core::{
    AdaMole, AdaptedLinear, AdapterConfig, AdapterMismatch, ForwardContext, MethodKind, Mole, Selection,
    SharedParameters, StoreError, load_adapters, save_adapters,
};
use burn::{
    module::{Module, Param},
    tensor::{Device, Distribution, Tensor, TensorData},
};
use burn_store::{ModuleSnapshot, SafetensorsStore};
use safetensors::SafeTensors;
use std::fs;

#[derive(Module, Debug)]
struct Two {
    up: AdaptedLinear,
    down: AdaptedLinear,
    scale: Param<Tensor<1>>,
}

fn bare(device: &Device) -> Two {
    let weight = |d_out, d_in| Tensor::random([d_out, d_in], Distribution::Normal(0.0, 1.0), device);
    let (up, down) = (AdaptedLinear::frozen(weight(6, 4), None), AdaptedLinear::frozen(weight(4, 6), None));
    Two { up, down, scale: Param::from_tensor(Tensor::ones([1], device)) }
}

fn adamole(rank: usize) -> AdapterConfig {
    AdapterConfig::new(AdaMole { num_experts: 3.try_into().unwrap(), tau_max: None }, rank, 4.0, 0.1).unwrap()
}

/// A module whose adapters differ from fresh ones in every value.
fn adapted(device: &Device, config: &AdapterConfig, seed: u64) -> Two {
    let mut module = bare(device);
    module.up.adapt(config.clone(), &[seed]);
    module.down.adapt(config.clone(), &[seed, 1]);
    for adapter in [&mut module.up, &mut module.down].into_iter().filter_map(|linear| linear.adapter.as_mut()) {
        let b = adapter.b();
        adapter.set("b", b.random_like(Distribution::Normal(0.0, 1.0)).into_data());
    }
    module
}

fn forward(module: &Two, x: &Tensor<2>) -> TensorData {
    let mut context = ForwardContext::evaluation();
    let hidden = module.up.forward(x.clone(), &mut context);
    module.down.forward(hidden, &mut context).into_data()
}

fn mismatches(result: Result<(), StoreError>) -> Vec<AdapterMismatch> {
    match result {
        Err(StoreError::Mismatch { mismatches, .. }) => mismatches,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_module_gets_the_adapters_of_another_one_and_keeps_its_own_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapters.safetensors");
    let device = Device::default().autodiff();
    let trained = adapted(&device, &adamole(2), 1);
    save_adapters(&trained, &path).unwrap();
    save_adapters(&trained, &path).unwrap();
    let mut other = adapted(&device, &adamole(2), 2);
    let (up, down) = (trained.up.weight.val(), trained.down.weight.val());
    other.up.weight = AdaptedLinear::frozen(up, None).weight;
    other.down.weight = AdaptedLinear::frozen(down, None).weight;
    let x = Tensor::random([5, 4], Distribution::Normal(0.0, 1.0), &device);
    assert_ne!(forward(&other, &x), forward(&trained, &x));
    load_adapters(&mut other, &path).unwrap();
    assert_eq!(forward(&other, &x), forward(&trained, &x));
    let loss = other.up.forward(x, &mut ForwardContext::evaluation()).sum();
    let gradients = loss.backward();
    assert!(other.up.adapter.as_ref().unwrap().b().grad(&gradients).is_some(), "what is loaded can be trained");
    let names = SafeTensors::deserialize(&fs::read(&path).unwrap()).unwrap().len();
    assert_eq!(names, 10, "two adapters of five tensors, and no weight");
}

#[test]
fn a_module_without_adapters_is_an_error_on_either_side() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapters.safetensors");
    let device = Device::default();
    let mut bare = bare(&device);
    assert!(matches!(save_adapters(&bare, &path), Err(StoreError::NoAdapter)));
    save_adapters(&adapted(&device, &adamole(2), 1), &path).unwrap();
    let found = mismatches(load_adapters(&mut bare, &path));
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(
        found[1].to_string(),
        r#"the module has no adapter at up.adapter, the file has {"alpha":4.0,"method":"adamole","num_experts":3,"rank":2}; "#
            .to_owned()
            + "AdaptedLinear::adapt puts one on a linear"
    );
    bare.up.adapt(adamole(2), &[0]);
    let found = mismatches(load_adapters(&mut bare, &path));
    assert!(
        matches!(&found[..], [AdapterMismatch::NotInModule { adapter, .. }] if adapter == "down.adapter"),
        "{found:?}"
    );
}

#[test]
fn adapters_of_other_settings_or_shapes_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapters.safetensors");
    let device = Device::default();
    let top_k = |k: usize| {
        let selection = Selection::TopK(k.try_into().unwrap());
        AdapterConfig::new(Mole { num_experts: 3.try_into().unwrap(), selection }, 2, 4.0, 0.0).unwrap()
    };
    save_adapters(&adapted(&device, &top_k(1), 1), &path).unwrap();
    let mut other = adapted(&device, &top_k(2), 2);
    let x = Tensor::ones([5, 4], &device);
    let before = forward(&other, &x);
    let found = mismatches(load_adapters(&mut other, &path));
    assert!(matches!(found[..], [AdapterMismatch::OtherSettings { .. }, AdapterMismatch::OtherSettings { .. }]));
    assert_eq!(forward(&other, &x), before);
    let found = mismatches(load_adapters(&mut adapted(&device, &adamole(3), 2), &path));
    let has = |expected: &str| found.iter().any(|it| it.to_string().contains(expected));
    assert!(has("up.adapter.a is [6, 4] of F32, expected [9, 4] of F32"), "{found:?}");
    assert!(has("the file has no tensor up.adapter.threshold.bias"), "{found:?}");
}

#[test]
fn what_is_not_finite_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapters.safetensors");
    let device = Device::default();
    let mut broken = adapted(&device, &adamole(2), 1);
    let b = broken.up.adapter.as_ref().unwrap().b();
    broken.up.adapter.as_mut().unwrap().set("b", b.mul_scalar(f32::NAN).into_data());
    save_adapters(&broken, &path).unwrap();
    let found = mismatches(load_adapters(&mut adapted(&device, &adamole(2), 1), &path));
    assert_eq!(found, [AdapterMismatch::NotFinite { tensor: "up.adapter.b".into() }]);
}

#[test]
fn another_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other");
    let mut module = adapted(&Device::default(), &adamole(2), 1);
    let message = |module: &mut Two| load_adapters(module, &path).unwrap_err().to_string();
    assert!(message(&mut module).contains("other: "));
    fs::write(&path, "no tensors").unwrap();
    assert!(message(&mut module).contains("other is not a file of adapters: "));
    module.save_into(&mut SafetensorsStore::from_file(&path).overwrite(true)).unwrap();
    assert!(message(&mut module).ends_with("its metadata has no adamole_adapters"));
}

#[test]
fn adapters_on_a_quantised_base_are_saved_and_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapters.safetensors");
    let device = Device::default();
    let weight = quantised(Tensor::random([8, 32], Distribution::Normal(0.0, 1.0), &device));
    let adapted = |seed: u64| {
        let mut linear = AdaptedLinear::frozen(weight.clone(), None);
        linear.adapt(adamole(2), &[seed]);
        linear
    };
    let (saved, mut loaded) = (adapted(1), adapted(2));
    let a = |linear: &AdaptedLinear| linear.adapter.as_ref().unwrap().a().into_data();
    assert_ne!(a(&saved), a(&loaded));
    save_adapters(&saved, &path).unwrap();
    load_adapters(&mut loaded, &path).unwrap();
    assert_eq!(a(&saved), a(&loaded));
    assert_eq!(loaded.weight.val().into_data(), weight.into_data());
}

#[test]
fn a_parameter_that_adapters_share_stays_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("adapters.safetensors");
    let device = Device::default();
    let config = {
        let defaults = [("num_experts", 3), ("sparsity_hidden", 4)];
        let kind = MethodKind::by_name("ldmole").unwrap();
        let settings = kind.settings.iter().map(|it| (it.name.to_owned(), it.default_value().unwrap_or_default()));
        let settings = settings.chain(defaults.map(|(name, value)| (name.to_owned(), value.into())));
        AdapterConfig::with_method((kind.build)(&settings.collect()).unwrap(), 2, 4.0, 0.0).unwrap()
    };
    let square = |device: &Device| AdaptedLinear::frozen(Tensor::ones([4, 4], device), None);
    let tied = |seed: u64| {
        let mut module = Two { up: square(&device), down: square(&device), scale: bare(&device).scale };
        let mut shared = SharedParameters::default();
        for linear in [&mut module.up, &mut module.down] {
            linear.adapt(config.clone(), &[seed]);
            linear.adapter.iter_mut().for_each(|adapter| adapter.tie(&mut shared));
        }
        module
    };
    let mut loaded = tied(2);
    save_adapters(&tied(1), &path).unwrap();
    load_adapters(&mut loaded, &path).unwrap();
    let shared = |linear: &AdaptedLinear| {
        let parameters = linear.adapter.iter().flat_map(|adapter| adapter.parameters());
        parameters.filter(|(spec, _)| spec.shared).map(|(_, value)| value.id()).collect::<Vec<_>>()
    };
    assert!(!shared(&loaded.up).is_empty());
    assert_eq!(shared(&loaded.up), shared(&loaded.down));
    // Copies that differ make no parameter.
    let mut apart = tied(3);
    apart.down.adapt(config.clone(), &[4]);
    save_adapters(&apart, &path).unwrap();
    let found = mismatches(load_adapters(&mut loaded, &path));
    assert!(matches!(found[0], AdapterMismatch::UnequalCopies { .. }), "{found:?}");
}
