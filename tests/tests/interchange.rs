//! Adapters saved by other programs, adapters saved here, and merged adapters.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{AdaMole, AdapterConfig, CapacityFactor, ForwardContext, Lora, Method, Mole, Selection, Sira},
    llama::{
        AdapterLayout, CausalLm, ChainOfLora, ModelError, Precision, Targets, TokenBatch, Visibility, load_adapter,
        load_base, load_base_as, merge, save_adapter, save_base,
    },
};
use adamole_tests::{Case, assert_close, device, golden, max_difference, values};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::{fs, path::Path, sync::Arc};

fn logits(model: &CausalLm, case: &Case, device: &Device) -> Vec<f32> {
    let shape = case.tensors.shape("input_ids").unwrap().to_vec();
    let ids: Vec<i32> = case.integers("input_ids").iter().map(|&id| id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, shape.clone()), device);
    let tokens: Vec<u8> = case.integers("attention_mask").iter().map(|&m| m as u8).collect();
    let mask = Visibility::padded(&tokens, shape[1], 0);
    values(model.logits(model.hidden(&TokenBatch::new(ids, mask), &mut ForwardContext::evaluation())).into_data())
}

/// The logits of the valid tokens. Those of padding depend on the version of the library that recorded them.
fn of_tokens(case: &Case, logits: &[f32]) -> Vec<f32> {
    let mask = case.integers("attention_mask");
    let vocabulary = logits.len() / mask.len();
    let rows = logits.chunks(vocabulary).zip(mask);
    rows.filter(|(_, token)| *token == 1).flat_map(|(row, _)| row.to_vec()).collect()
}

fn base(case: &Case, device: &Device) -> CausalLm {
    load_base(&case.folder.join(case.json["base"].as_str().unwrap()), device).unwrap()
}

#[test]
fn loras_of_peft_have_the_logits_of_peft_adapted_and_merged() {
    let device = device();
    for name in ["peft_lora_r32", "peft_lora_llama3_mlp", "peft_lora_gemma"] {
        let case = Case::open(name);
        let untouched = base(&case, &device);
        let mut model = untouched.clone();
        load_adapter(&mut model, &case.folder).unwrap();
        let adapted = of_tokens(&case, &logits(&model, &case, &device));
        assert_close(name, &adapted, &of_tokens(&case, &case.floats("logits")), 1e-4, 0.0);

        let merged = merge(model).unwrap();
        assert!(merged.layout().iter().next().is_none());
        let folded = of_tokens(&case, &logits(&merged, &case, &device));
        assert_close(name, &folded, &adapted, 1e-5, 0.0);
        assert_close(name, &folded, &of_tokens(&case, &case.floats("merged_logits")), 1e-4, 0.0);
        let plain = of_tokens(&case, &logits(&untouched, &case, &device));
        assert!(max_difference(&folded, &plain) > 1e-2, "{name}: merging changes the logits");

        let folder = tempfile::tempdir().unwrap();
        save_base(&merged, folder.path()).unwrap();
        let again = load_base(folder.path(), &device).unwrap();
        assert_eq!(logits(&again, &case, &device), logits(&merged, &case, &device), "{name}: saved and loaded");
    }
}

#[test]
fn torch_files_load_the_same_adapter_as_safetensors() {
    let device = device();
    for name in ["llama_gqa__ada_1", "llama_gqa__mole_top2", "llama_gqa__lora"] {
        let case = Case::open(name);
        let (mut safetensors, mut pickle) = (base(&case, &device), base(&case, &device));
        let layout = load_adapter(&mut safetensors, &case.folder).unwrap();
        assert_eq!(load_adapter(&mut pickle, &golden("published").join(name)).unwrap(), layout);
        assert_eq!(logits(&pickle, &case, &device), logits(&safetensors, &case, &device), "{name}");
    }
}

#[test]
fn a_damaged_torch_file_is_refused_and_the_model_unchanged() {
    let device = device();
    let case = Case::open("llama_gqa__lora");
    let folder = tempfile::tempdir().unwrap();
    let source = golden("published/llama_gqa__lora");
    fs::copy(source.join("adapter_config.json"), folder.path().join("adapter_config.json")).unwrap();
    let bytes = fs::read(source.join("adapter_model.bin")).unwrap();
    let mut model = base(&case, &device);
    for length in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        fs::write(folder.path().join("adapter_model.bin"), &bytes[..length]).unwrap();
        let error = load_adapter(&mut model, folder.path()).unwrap_err();
        assert!(matches!(error, ModelError::Pickle { .. }), "{length}: {error}");
        assert!(model.layout().iter().next().is_none());
    }
}

#[test]
fn every_method_is_saved_and_loaded_without_loss() {
    let device = device();
    let case = Case::open("llama_gqa__ada_1");
    let experts = |n: usize| n.try_into().unwrap();
    let num_experts = experts(4);
    let mole = |selection| Arc::new(Mole { num_experts, selection });
    let methods: [Arc<dyn Method>; 7] = [
        Arc::new(Lora),
        mole(Selection::TopK(2.try_into().unwrap())),
        mole(Selection::Threshold(0.2)),
        mole(Selection::TopP(0.6.try_into().unwrap())),
        Arc::new(AdaMole { num_experts, tau_max: None }),
        Arc::new(AdaMole { num_experts, tau_max: Some(0.375.try_into().unwrap()) }),
        Arc::new(Sira {
            num_experts,
            top_k: 2.try_into().unwrap(),
            capacity_factor: Some(CapacityFactor::try_from(1.25).unwrap()),
            gate_dropout: 0.1.try_into().unwrap(),
            renormalise: true,
        }),
    ];
    for method in methods {
        let config =
            AdapterConfig { method, rank: 2.try_into().unwrap(), alpha: 16.0, dropout: 0.05.try_into().unwrap() };
        round_trip(
            &case,
            AdapterLayout::uniform(config, &Targets::all(), base(&case, &device).config()).unwrap(),
            &device,
        );
    }
}

#[test]
fn layers_with_different_adapters_are_saved_and_loaded() {
    let device = device();
    let case = Case::open("llama_gqa__ada_1");
    let layer = |experts: usize, rank: usize, k: Option<usize>| {
        let num_experts = experts.try_into().unwrap();
        let method: Arc<dyn Method> = match k {
            Some(k) => Arc::new(Mole { num_experts, selection: Selection::TopK(k.try_into().unwrap()) }),
            None => Arc::new(AdaMole { num_experts, tau_max: None }),
        };
        AdapterConfig { method, rank: rank.try_into().unwrap(), alpha: 8.0, dropout: 0.0.try_into().unwrap() }
    };
    for layers in [[layer(2, 4, None), layer(6, 1, None)], [layer(2, 4, Some(1)), layer(5, 4, Some(3))]] {
        round_trip(
            &case,
            AdapterLayout::per_layer(&layers, &Targets::attention(), base(&case, &device).config()).unwrap(),
            &device,
        );
    }
    // Different linears in different layers.
    let lora = |rank: usize, alpha| AdapterConfig::new(Lora, rank, alpha, 0.0).unwrap();
    let odd = [
        ("model.layers.0.self_attn.q_proj", lora(2, 4.0)),
        ("model.layers.1.self_attn.q_proj", lora(3, 4.0)),
        ("model.layers.1.mlp.up_proj", lora(2, 9.0)),
    ];
    round_trip(&case, odd.into_iter().map(|(name, config)| (name.to_owned(), config)).collect(), &device);
}

/// A model with adapters whose B is not zero, as after training.
fn trained(case: &Case, layout: &AdapterLayout, seed: u64, device: &Device) -> CausalLm {
    let mut model = base(case, device);
    model.adapt(layout, seed);
    with_random_b(model, seed)
}

/// Replaces every B that is zero by random values.
fn with_random_b(model: CausalLm, seed: u64) -> CausalLm {
    use burn::module::{Module, ModuleMapper, Param};
    struct RandomB(u64, u64);
    impl ModuleMapper for RandomB {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.1 += 1;
            let key = [self.0, self.1];
            param.map(|value| {
                let shape = value.shape();
                let zero = value.clone().abs().max().into_scalar::<f32>() == 0.0;
                let noise = adamole::core::CounterRng::new(&key).normal(shape.num_elements(), 0.2);
                let noise = Tensor::from_data(TensorData::new(noise, shape), &value.device());
                if zero { noise } else { value }
            })
        }
    }
    model.map(&mut RandomB(seed, 0))
}

fn round_trip(case: &Case, layout: AdapterLayout, device: &Device) {
    let model = trained(case, &layout, 7, device);
    let folder = tempfile::tempdir().unwrap();
    save_adapter(&model, Some("base"), folder.path()).unwrap();
    let mut loaded = base(case, device);
    assert_eq!(load_adapter(&mut loaded, folder.path()).unwrap(), layout);
    assert_eq!(logits(&loaded, case, device), logits(&model, case, device), "{layout:?}");
    let plain = logits(&base(case, device), case, device);
    assert!(
        max_difference(&logits(&loaded, case, device), &plain) > 1e-3,
        "{layout:?}: the adapter changes the logits"
    );
}

/// Rewrites fields of a saved adapter's config.
fn edited(folder: &Path, edit: impl FnOnce(&mut serde_json::Value)) {
    let path = folder.join("adapter_config.json");
    let mut config = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    edit(&mut config);
    fs::write(&path, config.to_string()).unwrap();
}

#[test]
fn fields_of_peft_are_supported_or_refused() {
    let device = device();
    let case = Case::open("peft_lora_r32");
    let folder = tempfile::tempdir().unwrap();
    let load = |edit: &dyn Fn(&mut serde_json::Value)| {
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            fs::copy(case.folder.join(file), folder.path().join(file)).unwrap();
        }
        edited(folder.path(), edit);
        let mut model = base(&case, &device);
        load_adapter(&mut model, folder.path())
    };
    let scale = |layout: AdapterLayout| layout.get("model.layers.1.self_attn.v_proj").unwrap().scale();
    assert_eq!(scale(load(&|_| {}).unwrap()), 0.5);
    let rslora = scale(load(&|config| config["use_rslora"] = true.into()).unwrap());
    assert!((rslora - 16.0 / 32.0_f32.sqrt()).abs() < 1e-6, "{rslora}");
    // A rank-stabilised LoRA is saved as one.
    load(&|config| config["use_rslora"] = true.into()).unwrap();
    let (mut model, saved) = (base(&case, &device), folder.path().join("saved"));
    let layout = load_adapter(&mut model, folder.path()).unwrap();
    save_adapter(&model, None, &saved).unwrap();
    let config: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(saved.join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!((&config["use_rslora"], &config["lora_alpha"]), (&true.into(), &16.0.into()));
    assert_eq!(load_adapter(&mut model, &saved).unwrap(), layout);
    let wide = ChainOfLora::whole_layout(&layout, 3);
    assert!((scale(wide) - rslora).abs() < 1e-6, "a chain keeps the scale");
    for pattern in ["v_proj", "layers.1.self_attn.v_proj", "^model.layers.1.self_attn.v_proj", r".*\.1\..*v_proj"] {
        let patterned = load(&|config| config["alpha_pattern"] = serde_json::json!({ pattern: 64 })).unwrap();
        assert_eq!(patterned.get("model.layers.1.self_attn.q_proj").unwrap().scale(), 0.5);
        assert_eq!(scale(patterned), 2.0, "{pattern}");
    }
    let by_expression = load(&|config| config["target_modules"] = r".*\.(q|k|v|o)_proj".into()).unwrap();
    assert_eq!(by_expression, load(&|_| {}).unwrap());

    for (field, value) in [
        ("use_dora", true.into()),
        ("bias", "all".into()),
        ("modules_to_save", serde_json::json!(["lm_head"])),
        ("target_modules", serde_json::json!(["c_attn"])),
        ("peft_type", "IA3".into()),
        ("format_version", 9.into()),
    ] {
        let error = load(&|config| config[field] = value.clone()).unwrap_err().to_string();
        assert!(error.contains(field) && error.contains("expected"), "{field}: {error}");
    }
    let ModelError::Mismatch { mismatch, .. } =
        load(&|config| config["rank_pattern"] = serde_json::json!({"layers.0.self_attn.q_proj": 8})).unwrap_err()
    else {
        panic!("a rank that differs from the file is a mismatch");
    };
    assert_eq!(mismatch.misshaped.len(), 2, "{mismatch}");
}

#[test]
fn a_mixture_of_experts_cannot_be_merged() {
    let case = Case::open("llama_gqa__ada_1");
    let device = device();
    let mut model = base(&case, &device);
    load_adapter(&mut model, &case.folder).unwrap();
    let error = merge(model).unwrap_err();
    assert!(error.to_string().contains("model.layers.0.self_attn.q_proj"), "{error}");
}

#[test]
fn a_chain_of_lora_is_equal_to_one_lora() {
    let device = device();
    let case = Case::open("llama_gqa__lora");
    let config = AdapterConfig::new(Lora, 2, 4.0, 0.0).unwrap();
    let layout = AdapterLayout::uniform(config, &Targets::attention(), base(&case, &device).config()).unwrap();
    let mut model = trained(&case, &layout, 1, &device);
    let mut chain = ChainOfLora::new(&model);
    assert_eq!(logits(&chain.whole(&model), &case, &device), logits(&model, &case, &device));
    for link in 1..3 {
        let before = logits(&model, &case, &device);
        model = chain.link(model, 1).unwrap();
        assert_close(
            "a new LoRA starts where the previous one ended",
            &logits(&model, &case, &device),
            &before,
            1e-4,
            0.0,
        );
        model = with_random_b(model, 10 + link);
        assert!(max_difference(&logits(&model, &case, &device), &before) > 1e-3);
    }
    let whole = chain.whole(&model);
    assert_close("whole", &logits(&whole, &case, &device), &logits(&model, &case, &device), 1e-4, 0.0);
    let layout = whole.layout();
    let whole_config = layout.get("model.layers.0.self_attn.q_proj").unwrap();
    assert_eq!((whole_config.rank.get(), whole_config.scale()), (6, 2.0));
    // On the base of the chain.
    let folder = tempfile::tempdir().unwrap();
    save_adapter(&whole, None, folder.path()).unwrap();
    let mut loaded = base(&case, &device);
    load_adapter(&mut loaded, folder.path()).unwrap();
    assert_eq!(logits(&loaded, &case, &device), logits(&whole, &case, &device));
}

#[test]
fn a_link_is_refused_on_weights_that_would_round_it_away() {
    let device = device();
    let case = Case::open("llama_gqa__lora");
    let config = AdapterConfig::new(Lora, 2, 4.0, 0.0).unwrap();
    let folder = case.folder.join(case.json["base"].as_str().unwrap());
    let mut model = load_base_as(&folder, Precision::BFloat16, &device).unwrap();
    let layout = AdapterLayout::uniform(config, &Targets::attention(), model.config()).unwrap();
    model.adapt(&layout, 1);
    assert!(merge(model.clone()).is_ok(), "a model may be merged once");
    let error = ChainOfLora::new(&model).link(model, 1).unwrap_err();
    assert!(matches!(error, ModelError::WrongType { .. }), "{error}");
    assert!(error.to_string().starts_with("model.layers.0.self_attn.q_proj is BF16, expected float32"), "{error}");
}
