//! Equivalent forms: the fused mixture and a loop over experts, the chunked loss and the plain one, any number of workers, a
//! padded batch and single sequences.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::{
    core::{
        AdaMole, AdaptedLinear, AdapterConfig, CounterRng, ForwardContext, Lora, MixLora, MixLoraPart, RoutingDetail,
        Sira,
    },
    data::{Batch, Buckets, Collation, Example, LabelScope, Layout, Padding},
    llama::{AdapterLayout, CausalLm, Targets, TokenBatch, cross_entropy, frozen_cross_entropy, load_base},
    train::{Accumulation, DeviceBatch, Recipe, Replicas, StepInput, Workers, accumulate},
};
use adamole_tests::{assert_close, device, flat_gradients, golden, values};
use burn::{
    optim::GradientsParams,
    tensor::{Device, Int, Tensor, TensorData},
};
use proptest::prelude::*;

fn adamole(num_experts: usize, rank: usize, dropout: f32) -> AdapterConfig {
    let method = AdaMole { num_experts: num_experts.try_into().unwrap(), tau_max: None };
    AdapterConfig::new(method, rank, 16.0, dropout).unwrap()
}

fn random<const D: usize>(seed: u64, shape: [usize; D], device: &Device) -> Tensor<D> {
    let values = CounterRng::new(&[seed]).normal(shape.iter().product(), 1.0);
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A layer with an adapter whose B is not zero.
fn layer(config: AdapterConfig, d_in: usize, d_out: usize, seed: u64, device: &Device) -> AdaptedLinear {
    let mut layer = AdaptedLinear::frozen(random(seed, [d_out, d_in], device), None);
    layer.adapt(config, &[seed]);
    let adapter = layer.adapter.as_mut().unwrap();
    let shape = adapter.b().dims();
    adapter.set("b", random(seed + 1, shape, device).into_data());
    layer
}

/// The definition of AdaMoLE, token by token and expert by expert.
fn loop_over_experts(layer: &AdaptedLinear, x: &[f32], rows: usize) -> Vec<f32> {
    let adapter = layer.adapter.as_ref().unwrap();
    let (experts, rank) = (adapter.config().num_experts(), adapter.config().rank.get());
    let [d_out, d_in] = layer.weight.val().dims();
    let read = |t: Tensor<2>| values(t.into_data());
    let (w, a, b) = (read(layer.weight.val()), read(adapter.a()), read(adapter.b()));
    let gate = read(adapter.matrix("gate"));
    let (tw, tb) = (read(adapter.matrix("threshold.weight")), values(adapter.vector("threshold.bias").into_data())[0]);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let mut y = Vec::new();
    for x in x.chunks(d_in).take(rows) {
        let exp: Vec<f64> = gate.chunks(d_in).map(|g| dot(g, x).exp()).collect();
        let sum: f64 = exp.iter().sum();
        let tau = 1.0 / experts as f64 / (1.0 + (-dot(&tw, x) - f64::from(tb)).exp());
        let margins: Vec<f64> = exp.iter().map(|e| (e / sum - tau).max(0.0)).collect();
        let total: f64 = margins.iter().sum();
        let mut row: Vec<f64> = w.chunks(d_in).map(|w| dot(w, x)).collect();
        for (expert, margin) in margins.iter().enumerate().filter(|(_, m)| **m > 0.0) {
            let scale = margin / total * f64::from(adapter.config().scale());
            for r in 0..rank {
                let column = expert * rank + r;
                let hidden = dot(&a[column * d_in..(column + 1) * d_in], x);
                for (o, y) in row.iter_mut().enumerate() {
                    *y += scale * hidden * f64::from(b[o * experts * rank + column]);
                }
            }
        }
        y.extend(row.into_iter().map(|v| v as f32));
    }
    assert_eq!(y.len(), rows * d_out);
    y
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_fused_mixture_equals_the_loop(
        rows in 1_usize..9, d_in in 1_usize..20, d_out in 1_usize..20, experts in 1_usize..9, rank in 1_usize..5, seed: u32,
    ) {
        let device = device();
        let layer = layer(adamole(experts, rank, 0.0), d_in, d_out, u64::from(seed), &device);
        let x = random::<2>(u64::from(seed) + 7, [rows, d_in], &device);
        let mut context = ForwardContext::evaluation().recording(RoutingDetail::Rows);
        let y = values(layer.forward(x.clone(), &mut context).into_data());
        let expected = loop_over_experts(&layer, &values(x.into_data()), rows);
        let scale = expected.iter().fold(1.0_f32, |max, v| max.max(v.abs()));
        assert_close("y", &y, &expected, 2e-5 * scale, 1e-4);

        let routing = context.into_layers().pop().unwrap().decision.unwrap();
        for row in values(routing.weights.into_data()).chunks(experts) {
            let sum: f32 = row.iter().sum();
            prop_assert!(row.iter().all(|w| *w >= 0.0));
            prop_assert!(sum == 0.0 || (sum - 1.0).abs() < 1e-5, "weights sum to {}", sum);
        }
    }

    #[test]
    fn one_expert_equals_a_plain_lora(rows in 1_usize..6, d_in in 1_usize..12, d_out in 1_usize..12, rank in 1_usize..5, seed: u32) {
        let device = device();
        let seed = u64::from(seed);
        let mixture = layer(adamole(1, rank, 0.0), d_in, d_out, seed, &device);
        let mut lora = layer(AdapterConfig::new(Lora, rank, 16.0, 0.0).unwrap(), d_in, d_out, seed, &device);
        let adapter = mixture.adapter.as_ref().unwrap();
        for name in ["a", "b"] {
            lora.adapter.as_mut().unwrap().set(name, adapter.matrix(name).into_data());
        }
        let x = random::<2>(seed + 7, [rows, d_in], &device);
        let forward = |layer: &AdaptedLinear| values(layer.forward(x.clone(), &mut ForwardContext::evaluation()).into_data());
        assert_close("y", &forward(&mixture), &forward(&lora), 1e-4, 1e-5);
    }

    #[test]
    fn the_chunked_loss_equals_the_plain_one(rows in 1_usize..600, width in 1_usize..9, vocabulary in 2_usize..40, cap in prop::option::of(0.1_f32..9.0), seed: u32) {
        let device = device().autodiff();
        let seed = u64::from(seed);
        let hidden = random::<2>(seed, [rows, width], &device).require_grad();
        let projection = random::<2>(seed + 1, [vocabulary, width], &device);
        let targets: Vec<i32> = (0..rows).map(|i| (i * 7 % vocabulary) as i32).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [rows]), &device);
        let loss = |f: fn(Tensor<2>, Tensor<2>, Option<f32>, Tensor<1, Int>, f32) -> Tensor<1>| {
            let loss = f(hidden.clone(), projection.clone(), cap, targets.clone(), rows as f32);
            let gradients = loss.backward();
            (values(loss.into_data()), values(hidden.grad(&gradients).unwrap().into_data()))
        };
        let (plain, plain_gradient) = loss(cross_entropy);
        let (chunked, chunked_gradient) = loss(frozen_cross_entropy);
        assert_close("loss", &chunked, &plain, 1e-5, 1e-5);
        assert_close("gradient", &chunked_gradient, &plain_gradient, 1e-7, 1e-4);
    }
}

fn adapted_model(device: &Device, dropout: f32) -> CausalLm {
    let mut model = load_base(&golden("bases/llama_gqa_s11"), device).unwrap();
    let layout = AdapterLayout::uniform(adamole(4, 2, dropout), &Targets::attention(), model.config()).unwrap();
    model.adapt(&layout, 3);
    model
}

fn examples() -> Vec<Example> {
    (0..10_u32)
        .map(|i| {
            let ids: Vec<u32> = (0..6 + i).map(|t| (t * 13 + i * 29) % 107).collect();
            Example {
                answer_at: Some(ids.len() - 2),
                prompt: ids[..ids.len() - 2].to_vec(),
                text: ids,
                answer: Some(0),
                choice_ids: vec![4, 5],
                truncated: false,
                item: i as usize,
            }
        })
        .collect()
}

/// A batch padded with a token that does not occur in the texts: every token but the first has a loss.
fn texts(examples: &[Example], indices: &[usize]) -> Batch {
    laid_out(examples, indices, Layout::Padded(Padding::Right))
}

fn laid_out(examples: &[Example], indices: &[usize], layout: Layout) -> Batch {
    let collation = Collation { pad_id: 107, labels: LabelScope::Text, layout };
    Batch::of_texts(examples, indices, collation, &Buckets::any())
}

#[test]
fn a_step_does_not_depend_on_the_number_of_workers() {
    let device = device().autodiff();
    let model = adapted_model(&device, 0.1);
    let examples = examples();
    let batches: Vec<Batch> = [[0, 1, 2], [3, 4, 5], [6, 7, 8]].map(|indices| texts(&examples, &indices)).to_vec();
    let run = |workers| {
        let recipe = Recipe { seed: 5, ..Recipe::default() };
        let input = StepInput { batches: &batches, step: 2, recipe: &recipe };
        let outcome = accumulate(&model, input, &Workers::new(workers), &Replicas::default()).unwrap();
        (outcome.task_loss, outcome.balance_loss, flat_gradients(&model, &outcome.gradients))
    };
    let one = run(1);
    assert!(one.2.iter().any(|g| *g != 0.0));
    for workers in [2, 3] {
        assert_eq!(run(workers), one, "{workers} workers");
    }
}

#[test]
fn activation_checkpointing_does_not_change_a_step() {
    let device = device().autodiff();
    let mut everywhere = adapted_model(&device, 0.3);
    let all_linears = AdapterLayout::uniform(adamole(4, 2, 0.3), &Targets::all(), everywhere.config()).unwrap();
    everywhere.adapt(&all_linears, 3);
    for model in [adapted_model(&device, 0.3), everywhere] {
        compare_by_blocks(&model);
    }
    for family in FAMILIES {
        compare_by_blocks(&of_family(family, adamole(4, 2, 0.3), &device));
    }
}

/// Families with norms of outputs, of heads, bounded scores, fused linears, and layers without rotation.
const FAMILIES: [&str; 5] = ["gemma2_caps", "gemma3_pattern2", "phi3_window", "qwen3_norms", "smollm3_interval"];

/// The golden model of a family, with adapters on all linears.
fn of_family(name: &str, adapter: AdapterConfig, device: &Device) -> CausalLm {
    let mut model = load_base(&golden(&format!("families/{name}/base")), device).unwrap();
    let layout = AdapterLayout::uniform(adapter, &Targets::all(), model.config()).unwrap();
    model.adapt(&layout, 3);
    model
}

#[test]
fn targets_that_a_model_does_not_have_are_refused_and_parts_of_fused_linears_mean_these() {
    let device = device();
    let targets = |names: &[&str]| Targets::try_from(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    let layout = |family: &str, names: &[&str]| {
        let model = load_base(&golden(&format!("families/{family}/base")), &device).unwrap();
        let layout = AdapterLayout::uniform(adamole(2, 1, 0.0), &targets(names).unwrap(), model.config());
        let names = |layout: AdapterLayout| layout.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
        layout.map(|layout| names(layout).into_iter().filter(|name| name.contains(".0.")).collect::<Vec<_>>())
    };
    let fused = ["model.layers.0.self_attn.o_proj", "model.layers.0.self_attn.qkv_proj"];
    assert_eq!(layout("phi3_window", &["q_proj", "k_proj", "v_proj", "o_proj"]).unwrap(), fused);
    assert_eq!(layout("phi3_window", &["qkv_proj", "o_proj"]).unwrap(), fused);
    let error = layout("phi3_window", &["q_proj", "o_proj"]).unwrap_err().to_string();
    assert!(error.contains("q_proj") && error.contains("qkv_proj, o_proj, gate_up_proj, down_proj"), "{error}");
    assert!(layout("qwen3_norms", &["qkv_proj"]).unwrap_err().to_string().contains("qkv_proj"));
}

#[test]
fn experts_that_are_whole_blocks_need_gate_and_up_apart() {
    let part = MixLoraPart::Attention;
    let method = MixLora { num_experts: 4.try_into().unwrap(), top_k: 2.try_into().unwrap(), part };
    let config = AdapterConfig::new(method, 2, 4.0, 0.0).unwrap();
    let targets = Targets::try_from(vec!["down_proj".to_owned()]).unwrap();
    let layout = |family: &str| {
        let model = load_base(&golden(&format!("families/{family}/base")), &device()).unwrap();
        AdapterLayout::uniform(config.clone(), &targets, model.config())
    };
    assert!(layout("qwen3_norms").is_ok());
    let error = layout("phi3_window").unwrap_err().to_string();
    assert!(error.contains("targets is down_proj") && error.contains("gate_proj and up_proj apart"), "{error}");
}

fn compare_by_blocks(model: &CausalLm) {
    let examples = examples();
    let batches: Vec<Batch> = [[0, 1, 2], [3, 4, 5]].map(|indices| texts(&examples, &indices)).to_vec();
    let run = |checkpoint_blocks| {
        let recipe = Recipe { seed: 5, balance_coefficient: 1e-2, checkpoint_blocks, ..Recipe::default() };
        let input = StepInput { batches: &batches, step: 2, recipe: &recipe };
        accumulate(model, input, &Workers::new(2), &Replicas::default()).unwrap()
    };
    let (blocks, whole) = (run(true), run(false));
    assert_eq!((blocks.routing, blocks.tokens), (whole.routing, whole.tokens));
    let losses = |task: f64, balance: Option<f64>| [task as f32, balance.unwrap() as f32];
    let expected = losses(whole.task_loss, whole.balance_loss);
    assert_close("losses", &losses(blocks.task_loss, blocks.balance_loss), &expected, 1e-6, 1e-6);
    let gradients = |gradients| flat_gradients(model, gradients);
    assert_close("gradients", &gradients(&blocks.gradients), &gradients(&whole.gradients), 1e-7, 1e-5);
}

#[test]
fn micro_batches_are_weighted_by_their_labels_or_equally() {
    let device = device().autodiff();
    let model = adapted_model(&device, 0.0);
    let examples = examples();
    // 5 labels, and 14 + 13 labels.
    let batches = [texts(&examples, &[0]), texts(&examples, &[9, 8])];
    let loss = |batches: &[Batch], accumulation| {
        let recipe = Recipe { seed: 5, accumulation, ..Recipe::default() };
        let input = StepInput { batches, step: 2, recipe: &recipe };
        let outcome = accumulate(&model, input, &Workers::new(1), &Replicas::default()).unwrap();
        (outcome.task_loss, outcome.balance_loss.unwrap(), flat_gradients(&model, &outcome.gradients))
    };
    let [few, many] = [0, 1].map(|i| loss(&batches[i..=i], Accumulation::Tokens));
    let alike = loss(&batches, Accumulation::MicroBatches);
    let by_labels = loss(&batches, Accumulation::Tokens);
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
    close(alike.0, (few.0 + many.0) / 2.0);
    close(by_labels.0, (5.0 * few.0 + 27.0 * many.0) / 32.0);
    // Every text has one more token than labels.
    close(alike.1, (few.1 + many.1) / 2.0);
    close(by_labels.1, (6.0 * few.1 + 29.0 * many.1) / 35.0);
    let mean = few.2.iter().zip(&many.2).map(|(few, many)| (few + many) / 2.0);
    alike.2.iter().zip(mean).for_each(|(found, mean)| close(f64::from(*found), f64::from(mean)));
}

#[test]
fn dropout_depends_on_the_step_and_changes_the_gradient() {
    let device = device().autodiff();
    let examples = examples();
    let batches = [texts(&examples, &[7, 8])];
    let gradient = |dropout, step| {
        let model = adapted_model(&device, dropout);
        let recipe = Recipe { seed: 5, balance_coefficient: 0.0, ..Recipe::default() };
        let input = StepInput { batches: &batches, step, recipe: &recipe };
        flat_gradients(&model, &accumulate(&model, input, &Workers::new(1), &Replicas::default()).unwrap().gradients)
    };
    assert_eq!(gradient(0.5, 1), gradient(0.5, 1));
    assert_ne!(gradient(0.5, 1), gradient(0.5, 2));
    assert_eq!(gradient(0.0, 1), gradient(0.0, 2));
}

#[test]
fn a_load_balancing_loss_with_coefficient_0_does_not_change_the_gradients() {
    let device = device().autodiff();
    let model = adapted_model(&device, 0.0);
    let batches = [texts(&examples(), &[3, 8])];
    let gradients = |balance_coefficient| {
        let recipe = Recipe { seed: 5, balance_coefficient, ..Recipe::default() };
        let input = StepInput { batches: &batches, step: 2, recipe: &recipe };
        flat_gradients(&model, &accumulate(&model, input, &Workers::new(1), &Replicas::default()).unwrap().gradients)
    };
    let batch = DeviceBatch::new(&batches[0], &device);
    // Without recording there is no load balancing loss.
    let hidden = model.hidden(&batch.tokens, &mut ForwardContext::evaluation()).select(0, batch.label_positions);
    let labels = batch.label_targets.dims()[0];
    let loss = frozen_cross_entropy(hidden, model.projection(), None, batch.label_targets, labels as f32);
    let without = flat_gradients(&model, &GradientsParams::from_grads(loss.backward(), &model));
    assert_eq!(gradients(0.0), without);
    assert_ne!(gradients(1e-2), without);
}

#[test]
fn padding_does_not_change_the_hidden_states_of_tokens() {
    let device = device();
    let model = adapted_model(&device, 0.0);
    let examples = examples();
    let batch = texts(&examples, &[0, 4, 9]);
    let hidden = |ids: Vec<u32>, rows: usize| {
        let cols = ids.len() / rows;
        let ids: Vec<i32> = ids.into_iter().map(|id| id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, cols]), &device);
        values(model.hidden(&TokenBatch::causal(ids), &mut ForwardContext::evaluation()).into_data())
    };
    let width = model.config().hidden_size;
    let together = hidden(batch.ids.clone(), batch.rows);
    for (row, &index) in [0, 4, 9].iter().enumerate() {
        let alone = hidden(examples[index].text.clone(), 1);
        let start = row * batch.cols * width;
        assert_close("hidden", &together[start..start + alone.len()], &alone, 1e-5, 1e-4);
    }
}

/// The losses, the requests and the gradients of a step over these batches.
fn step_of(model: &CausalLm, batches: &[Batch], checkpoint_blocks: bool) -> ([f32; 2], Vec<f64>, Vec<f32>) {
    let recipe = Recipe { seed: 5, balance_coefficient: 1e-2, checkpoint_blocks, ..Recipe::default() };
    let input = StepInput { batches, step: 2, recipe: &recipe };
    let outcome = accumulate(model, input, &Workers::new(1), &Replicas::default()).unwrap();
    let losses = [outcome.task_loss as f32, outcome.balance_loss.unwrap() as f32];
    (losses, outcome.routing.expert_load(), flat_gradients(model, &outcome.gradients))
}

#[test]
fn packed_texts_are_as_they_are_apart() {
    let device = device().autodiff();
    let sira = |capacity: f32| {
        let capacity_factor = Some(capacity.try_into().unwrap());
        let (num_experts, top_k) = (4.try_into().unwrap(), 2.try_into().unwrap());
        let gate_dropout = 0.0.try_into().unwrap();
        let method = Sira { num_experts, top_k, capacity_factor, gate_dropout, renormalise: false };
        AdapterConfig::new(method, 2, 16.0, 0.0).unwrap()
    };
    let examples = examples();
    let indices = [9, 0, 4, 7];
    let apart = laid_out(&examples, &indices, Layout::Padded(Padding::Right));
    let packed = laid_out(&examples, &indices, Layout::Packed);
    assert_eq!((packed.rows, packed.cols, packed.lengths.len()), (1, 48, 4));
    assert_eq!(packed.label_targets, apart.label_targets);
    for family in FAMILIES
        .iter()
        .chain(&["llama3_rope", "mistral_window"])
        .filter(|family| golden(&format!("families/{family}/base")).exists())
    {
        for adapter in [adamole(4, 2, 0.0), sira(1.0), sira(0.5)] {
            let model = of_family(family, adapter, &device);
            let (losses, load, gradients) = step_of(&model, std::slice::from_ref(&apart), false);
            for blocks in [false, true] {
                let found = step_of(&model, std::slice::from_ref(&packed), blocks);
                assert_close("losses", &found.0, &losses, 1e-6, 2e-5);
                assert_eq!(found.1, load, "{family}");
                let largest = gradients.iter().fold(0.0_f32, |largest, g| largest.max(g.abs()));
                assert_close("gradients", &found.2, &gradients, 2e-5 * largest, 1e-4);
            }
        }
    }
}
