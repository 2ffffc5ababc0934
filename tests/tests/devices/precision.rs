//! Bases in half precision and quantised bases against the float32 reference: logits, loss and gradients, and the types of the
//! parameters. `-- --nocapture` prints the differences.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{ForwardContext, RoutingDetail},
    llama::{
        AdapterProducts, CausalLm, ModelError, ParameterKind, Precision, Quantization, TensorFile, TokenBatch,
        WeightTypes, frozen_cross_entropy, load_adapter, load_base, load_base_as,
    },
    train::{Recipe, Replicas, StepInput, Trace, Workers, accumulate, trace},
};
use adamole_tests::{
    Case, assert_close, device, flat_gradients, floats, golden, max_difference,
    shipped::{adapted_base_as, examples, micro_batches},
    values,
};
use burn::{
    module::{Module, ModuleMapper, Param},
    optim::GradientsParams,
    tensor::{DType, Device, Int, Tensor},
};

const BFLOAT16: WeightTypes = WeightTypes { precision: Precision::BFloat16, quantization: None };
const FLOAT16: WeightTypes = WeightTypes { precision: Precision::Float16, quantization: None };
const INT8: WeightTypes = WeightTypes { precision: Precision::Float32, quantization: Some(Quantization::Int8) };
const INT4: WeightTypes = WeightTypes { precision: Precision::Float32, quantization: Some(Quantization::Int4) };

/// Tolerances by type of the base and of the adapters' products: the error of the logits relative to the largest, the relative error
/// of the loss, and the least cosine of the gradients. The precision is 8 bits for bfloat16, 11 for float16, 7 for int8 and 3 for
/// int4. The CPU's products are in float32 in any case.
const TYPES: [(&str, WeightTypes, AdapterProducts, f32, f64, f64); 6] = [
    ("bfloat16", BFLOAT16, AdapterProducts::Float32, 0.15, 0.005, 0.99),
    ("bfloat16, products too", BFLOAT16, AdapterProducts::Mixed, 0.15, 0.005, 0.99),
    ("float16", FLOAT16, AdapterProducts::Mixed, 0.08, 0.005, 0.995),
    ("float16, products too", FLOAT16, AdapterProducts::Narrow, 0.08, 0.005, 0.995),
    ("int8", INT8, AdapterProducts::Mixed, 0.08, 0.005, 0.99),
    ("int4", INT4, AdapterProducts::Mixed, 0.7, 0.06, 0.8),
];

fn traced(case: &Case, model: &CausalLm, device: &Device) -> Trace {
    let batch = case.batch().on_device(model.config().vocab_size, device).unwrap();
    trace(model, batch, case.number("/aux_loss_coeff") as f32)
}

fn load(case: &Case, types: WeightTypes, device: &Device) -> Result<CausalLm, ModelError> {
    let mut model = load_base_as(&case.folder.join(case.json["base"].as_str().unwrap()), types, device)?;
    load_adapter(&mut model, &case.folder)?;
    types.check_loaded(&model)?;
    Ok(model)
}

/// The cosine of our gradients and the recorded ones, over the parameters that have both: rounding may activate an expert.
fn cosine(case: &Case, model: &CausalLm, traced: &Trace) -> f64 {
    let recorded = TensorFile::open(&case.folder.join("grads.safetensors")).unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (key, data) in traced.named_gradients(model) {
        if recorded.shape(&key).is_some() {
            ours.extend(values(data));
            theirs.extend(floats(&recorded, &key));
        }
    }
    cosine_of(&ours, &theirs)
}

fn cosine_of(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn a_base_with_fewer_bits_is_close_to_the_reference() {
    let device = device().autodiff();
    let cases =
        ["llama_gqa__ada_1", "llama_gqa__lora", "llama_gqa_tied__mole_top2", "gemma__mole_top2", "llama3_short__ada_1"];
    eprintln!("| case | base | logits, of the largest | loss | gradients' cosine |\n|---|---|---:|---:|---:|");
    for (name, types, products, of_logits, of_loss, least) in TYPES {
        products.choose();
        if !device.supports_dtype(types.precision.dtype()) {
            assert!(matches!(load(&Case::open(cases[0]), types, &device), Err(ModelError::UnsupportedType { .. })));
            eprintln!("| all | {name} | this device cannot | | |");
            continue;
        }
        for case_name in cases {
            let case = Case::open(case_name);
            let model = match load(&case, types, &device) {
                // Its heads are 12 wide.
                Err(ModelError::NotQuantizable { width: 48, linear }) => {
                    assert!(case_name.starts_with("gemma") && linear.ends_with("o_proj.weight"), "{linear}");
                    continue;
                }
                model => model.unwrap(),
            };
            let traced = traced(&case, &model, &device);
            let expected = case.floats("logits");
            let largest = expected.iter().fold(0.0_f32, |max, v| max.max(v.abs()));
            let share = max_difference(&values(traced.logits.clone().into_data()), &expected) / largest;
            let loss = (traced.task_loss.unwrap() - case.number("/ce_loss")).abs() / case.number("/ce_loss");
            let cosine = cosine(&case, &model, &traced);
            eprintln!("| {case_name} | {name} | {share:.4} | {loss:.5} | {cosine:.4} |");
            assert!(share > 0.0 && share < of_logits, "{case_name} {name}: logits {share}");
            assert!(loss < of_loss && cosine > least, "{case_name} {name}: loss {loss}, cosine {cosine}");
        }
    }
}

/// Dequantises the weights.
struct Dequantized;

impl ModuleMapper for Dequantized {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match param.val().dtype() {
            DType::QFloat(_) => Param::initialized(param.id, param.val().dequantize()).set_require_grad(false),
            _ => param,
        }
    }
}

#[test]
fn a_quantized_base_equals_its_dequantized_weights() {
    let device = device().autodiff();
    let case = Case::open("llama_gqa__ada_1");
    for types in [INT8, INT4] {
        let quantized = load(&case, types, &device).unwrap();
        let floats = quantized.clone().map(&mut Dequantized);
        // Only the adapters get gradients.
        let run = |model: &CausalLm| {
            let ids = Tensor::<2, Int>::from_data([[1, 5, 9, 33, 70, 2]], &device);
            let targets = Tensor::<1, Int>::from_data([5, 9, 33, 70, 2, 4], &device);
            let mut context = ForwardContext::evaluation().recording(RoutingDetail::Counts);
            let hidden = model.hidden(&TokenBatch::causal(ids), &mut context);
            let loss = frozen_cross_entropy(hidden.clone(), model.projection(), None, targets, 6.0);
            let gradients = GradientsParams::from_grads(loss.backward(), model);
            let adapters = model.parameters().into_iter().filter(|it| it.kind == ParameterKind::Adapter).count();
            assert_eq!(gradients.len(), adapters);
            (values(hidden.into_data()), flat_gradients(model, &gradients))
        };
        let ((hidden, gradients), (expected, expected_gradients)) = (run(&quantized), run(&floats));
        assert_close("hidden", &hidden, &expected, 1e-5, 1e-5);
        assert_close("gradients", &gradients, &expected_gradients, 1e-6, 1e-4);
        assert!(gradients.iter().any(|gradient| *gradient != 0.0));
    }
}

/// With dropout and several micro-batches, each on a copy of the model, as in training.
#[test]
fn a_quantized_base_stays_quantized_in_training() {
    let device = device().autodiff();
    let [examples, _] = examples(4, 1);
    let batches = micro_batches(&examples, 2);
    let gradients = |model: &CausalLm, checkpoint_blocks| {
        let recipe = Recipe { seed: 5, balance_coefficient: 1e-2, checkpoint_blocks, ..Recipe::default() };
        let input = StepInput { batches: &batches, step: 0, recipe: &recipe };
        flat_gradients(model, &accumulate(model, input, &Workers::new(1), &Replicas::default()).unwrap().gradients)
    };
    for quantization in [Quantization::Int8, Quantization::Int4] {
        let of = |precision| WeightTypes { precision, quantization: Some(quantization) };
        let types = of(Precision::Float32);
        let model = adapted_base_as(types, &device);
        types.check_loaded(&model.forked(&device)).unwrap();
        let expected = gradients(&model.clone().map(&mut Dequantized), false);
        assert!(expected.iter().any(|gradient| *gradient != 0.0));
        for checkpoint_blocks in [false, true] {
            assert_close("gradients", &gradients(&model, checkpoint_blocks), &expected, 1e-6, 1e-4);
        }
        // With activations in half precision.
        for precision in [Precision::BFloat16, Precision::Float16] {
            if device.supports_dtype(precision.dtype()) {
                let model = adapted_base_as(of(precision), &device);
                of(precision).check_loaded(&model.forked(&device)).unwrap();
                let cosine = cosine_of(&gradients(&model, false), &expected);
                assert!(cosine > 0.99, "{precision} {quantization}: {cosine}");
            }
        }
    }
}

#[test]
fn a_parameter_of_another_type_is_named() {
    let model = load_base(&golden("bases/llama_gqa_s11"), &device()).unwrap();
    assert!(WeightTypes::default().check_loaded(&model).is_ok());
    let error = INT8.check_loaded(&model).unwrap_err().to_string();
    assert!(error.contains("q_proj.weight is F32, expected int8"), "{error}");
}
