//! Routers against their definitions, row by row, and properties of all routers.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::core::{
    AdaMole, AdaptedLinear, Adapter, AdapterConfig, AdapterShape, CounterRng, DropoutSeed, ForwardContext, Initial,
    Lora, Method, MethodKind, MethodSettings, Mole, NumExperts, ParameterSpec, RoutingDetail, Rows, Selection, Sira,
    ValidRows,
    router::{Router, RouterInput, Routing},
};
use adamole::llama::{AdapterLayout, ModelError, Targets, load_adapter, load_base, save_adapter};
use adamole_tests::{assert_close, device, max_difference, shipped::datasets, values};
use burn::tensor::{Tensor, TensorData, activation::softmax};
use proptest::prelude::*;
use std::sync::Arc;

fn probabilities(rows: usize, experts: usize, seed: u64) -> Tensor<2> {
    let logits = CounterRng::new(&[seed]).normal(rows * experts, 1.5);
    softmax(Tensor::from_data(TensorData::new(logits, [rows, experts]), &device()), 1)
}

/// An adapter on a linear of one input and one output.
fn adapter(method: impl Method + 'static) -> Adapter {
    Adapter::new(AdapterConfig::new(method, 1, 1.0, 0.0).unwrap(), 1, 1, &[0], &device())
}

fn route_rows(method: impl Method + Router + Copy + 'static, probs: Tensor<2>, rows: &Rows) -> Routing {
    let (x, adapter) = (Tensor::zeros([probs.dims()[0], 1], &device()), adapter(method));
    method.route(&RouterInput { x: &x, logits: probs.log(), adapter: &adapter, gate_mask: None, rows })
}

fn route(method: impl Method + Router + Copy + 'static, probs: Tensor<2>) -> Routing {
    let rows = Rows::new(probs.dims()[0], 1, None);
    route_rows(method, probs, &rows)
}

fn mole(experts: usize, selection: Selection) -> Mole {
    Mole { num_experts: experts.try_into().unwrap(), selection }
}

/// The experts in descending order of probability.
fn ranked(row: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    order
}

/// Compares the active experts and their weights with the experts that `expected_active` returns for each row.
fn check(selection: Selection, probs: Tensor<2>, expected_active: impl Fn(&[f32]) -> Vec<usize>) {
    let experts = probs.dims()[1];
    let routing = route(mole(experts, selection), probs);
    let probs = routing.scores.probabilities();
    let (probs, weights) = (values(probs.into_data()), values(routing.weights.into_data()));
    let active = values(routing.active.into_data());
    for ((row, weights), active) in probs.chunks(experts).zip(weights.chunks(experts)).zip(active.chunks(experts)) {
        let mut expected_active = expected_active(row);
        let sum: f32 = expected_active.iter().map(|&i| row[i]).sum();
        let weight = |i| if expected_active.contains(&i) { row[i] / sum } else { 0.0 };
        let expected: Vec<f32> = (0..experts).map(weight).collect();
        assert_close("weights", weights, &expected, 1e-6, 1e-5);
        let active: Vec<usize> = (0..experts).filter(|&i| active[i] == 1.0).collect();
        expected_active.sort_unstable();
        assert_eq!(active, expected_active, "{row:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn top_k_activates_the_k_most_probable_experts(rows in 1_usize..20, experts in 1_usize..12, k in 1_usize..14, seed: u32) {
        let rule = Selection::TopK(k.try_into().unwrap());
        check(rule, probabilities(rows, experts, seed.into()), |row| ranked(row)[..k.min(experts)].to_vec());
    }

    #[test]
    fn a_threshold_activates_all_experts_that_reach_it(rows in 1_usize..20, experts in 1_usize..12, tau in 0.0_f32..0.6, seed: u32) {
        let all = |row: &[f32]| (0..row.len()).filter(|&i| row[i] >= tau).collect();
        check(Selection::Threshold(tau), probabilities(rows, experts, seed.into()), all);
    }

    #[test]
    fn top_p_activates_the_fewest_experts_that_reach_the_share(
        rows in 1_usize..20, experts in 1_usize..12, share in 0.01_f32..0.99, seed: u32,
    ) {
        let rule = Selection::TopP(share.try_into().unwrap());
        check(rule, probabilities(rows, experts, seed.into()), |row| {
            let mut reached = 0.0;
            let needed = ranked(row).into_iter().take_while(|&i| {
                let needed = reached < share;
                reached += row[i];
                needed
            });
            needed.collect()
        });
    }

    #[test]
    fn sira_drops_assignments_beyond_the_capacity(
        sequences in 1_usize..4, length in 1_usize..9, experts in 1_usize..6, k in 1_usize..4, capacity in 1_usize..5,
        padding in 0_usize..4, seed: u32,
    ) {
        let total = sequences * length;
        let probs = probabilities(total, experts, seed.into());
        let valid: Vec<bool> = (0..total).map(|row| row % length + padding < length).collect();
        let mask: Vec<f32> = valid.iter().map(|&v| f32::from(u8::from(v))).collect();
        let mask = Tensor::from_data(TensorData::new(mask, [total, 1]), &device());
        let count = valid.iter().filter(|v| **v).count();
        let rows = Rows::new(total, sequences, Some(ValidRows { mask, count }));
        let routing = route_rows(sira(experts, k, limit(capacity, experts, k, count / sequences), false), probs, &rows);
        let probs = routing.scores.probabilities();
        let probs = values(probs.into_data());
        let mut expected = vec![0.0; total * experts];
        for sequence in 0..sequences {
            let mut taken = vec![0; experts];
            for choice in 0..k.min(experts) {
                for row in (sequence * length..(sequence + 1) * length).filter(|&row| valid[row]) {
                    let scores = &probs[row * experts..(row + 1) * experts];
                    let expert = ranked(scores)[choice];
                    if taken[expert] < capacity {
                        expected[row * experts + expert] = scores[expert];
                    }
                    taken[expert] += 1;
                }
            }
        }
        assert_close("weights", &values(routing.weights.into_data()), &expected, 1e-6, 1e-6);
    }

    #[test]
    fn outputs_do_not_depend_on_the_order_of_the_experts(rows in 1_usize..6, experts in 2_usize..7, seed: u32, turn in 1_usize..6) {
        let device = device();
        let (rank, d_in, d_out) = (2, 5, 4);
        let seed = u64::from(seed);
        for selection in [None, Some(Selection::TopK(2.try_into().unwrap())), Some(Selection::TopP(0.5.try_into().unwrap()))] {
            let num_experts = experts.try_into().unwrap();
            let method: Arc<dyn Method> = match selection {
                None => Arc::new(AdaMole { num_experts, tau_max: None }),
                Some(selection) => Arc::new(Mole { num_experts, selection }),
            };
            let config = AdapterConfig { method, rank: rank.try_into().unwrap(), alpha: 4.0, dropout: 0.0.try_into().unwrap() };
            let random = |key: u64, shape: [usize; 2]| {
                let values = CounterRng::new(&[seed, key]).normal(shape[0] * shape[1], 1.0);
                Tensor::<2>::from_data(TensorData::new(values, shape), &device)
            };
            let mut layer = AdaptedLinear::frozen(random(0, [d_out, d_in]), None);
            layer.adapt(config, &[seed]);
            let adapter = layer.adapter.as_mut().unwrap();
            adapter.set("b", random(1, [d_out, experts * rank]).into_data());
            let mut turned = layer.clone();
            let adapter = turned.adapter.as_mut().unwrap();
            let by = if experts == 2 { 1 } else { 1 + turn % (experts - 1) };
            let roll = |t: Tensor<2>, dim: usize, by: usize| {
                let rest = t.dims()[dim] - by;
                Tensor::cat(vec![t.clone().narrow(dim, by, rest), t.narrow(dim, 0, by)], dim)
            };
            adapter.set("a", roll(adapter.a(), 0, by * rank).into_data());
            adapter.set("b", roll(adapter.b(), 1, by * rank).into_data());
            adapter.set("gate", roll(adapter.matrix("gate"), 0, by).into_data());
            let x = random(2, [rows, d_in]);
            let run = |layer: &AdaptedLinear| {
                let mut context = ForwardContext::evaluation().recording(RoutingDetail::Counts);
                let y = values(layer.forward(x.clone(), &mut context).into_data());
                (y, values(context.auxiliary_loss().unwrap().into_data()))
            };
            let ((y, balance), (turned_y, turned_balance)) = (run(&layer), run(&turned));
            assert_close("y", &turned_y, &y, 2e-4, 1e-4);
            assert_close("balance", &turned_balance, &balance, 1e-4, 1e-4);
        }
    }
}

#[test]
fn sira_limits_the_capacity_and_applies_no_dropout_in_evaluation() {
    let probs = probabilities(12, 4, 3);
    let unlimited = values(route(sira(4, 2, None, true), probs.clone()).weights.into_data());
    let top_k = values(route(mole(4, Selection::TopK(2.try_into().unwrap())), probs.clone()).weights.into_data());
    assert!(max_difference(&unlimited, &top_k) < 1e-6);
    let limited = values(route(sira(4, 2, limit(1, 4, 2, 12), true), probs).active.into_data());
    assert_eq!(limited.iter().sum::<f32>(), 4.0, "one token for each expert: {limited:?}");
}

fn sira(experts: usize, k: usize, capacity_factor: Option<f32>, renormalise: bool) -> Sira {
    Sira {
        num_experts: experts.try_into().unwrap(),
        top_k: k.try_into().unwrap(),
        capacity_factor: capacity_factor.map(|factor| factor.try_into().unwrap()),
        gate_dropout: 0.5.try_into().unwrap(),
        renormalise,
    }
}

/// The capacity factor for a capacity of `capacity` tokens per expert and sequence, which is rounded up.
fn limit(capacity: usize, experts: usize, k: usize, tokens: usize) -> Option<f32> {
    Some((capacity as f32 - 0.5) * experts as f32 / (k * tokens.max(1)) as f32)
}

/// The dropout rate is `p`, masks of layers and steps are independent, and the mean is kept.
#[test]
fn dropout_has_the_right_distribution() {
    let device = device();
    let (rows, width, p) = (400, 300, 0.3_f32);
    let config = AdapterConfig::new(Lora, width, width as f32, p).unwrap();
    // With A and B the identity, the layer returns its input after dropout.
    let mut layer = AdaptedLinear::frozen(Tensor::zeros([width, width], &device), None);
    layer.adapt(config, &[0]);
    let adapter = layer.adapter.as_mut().unwrap();
    adapter.set("a", Tensor::<2>::eye(width, &device).into_data());
    adapter.set("b", Tensor::<2>::eye(width, &device).into_data());
    let dropped = |step: u64| {
        let seed = DropoutSeed { run: 1, step, micro_batch: 0 };
        let mut context = ForwardContext::training(seed);
        let x = Tensor::ones([rows, width], &device);
        [0, 1].map(|_| values(layer.forward(x.clone(), &mut context).into_data()))
    };
    let [first_layer, second_layer] = dropped(0);
    let [next_step, _] = dropped(1);
    let kept = 1.0 / (1.0 - p);
    assert!(first_layer.iter().all(|v| *v == 0.0 || (v - kept).abs() < 1e-4));
    let count = (rows * width) as f64;
    let share = |mask: &[f32]| mask.iter().filter(|v| **v == 0.0).count() as f64 / count;
    let deviation = (f64::from(p * (1.0 - p)) / count).sqrt();
    assert!((share(&first_layer) - f64::from(p)).abs() < 5.0 * deviation, "{}", share(&first_layer));
    // Two independent masks are both zero with probability p squared.
    for other in [&second_layer, &next_step] {
        let both = first_layer.iter().zip(other).filter(|(a, b)| **a == 0.0 && **b == 0.0).count() as f64 / count;
        assert!((both - f64::from(p * p)).abs() < 5.0 * (f64::from(p * p) / count).sqrt(), "{both}");
    }
    // The rate holds for single rows and columns.
    for line in 0..10 {
        let row = first_layer[line * width..(line + 1) * width].iter().filter(|v| **v == 0.0).count() as f64;
        assert!((row / width as f64 - f64::from(p)).abs() < 0.15, "row {line}");
        let column = first_layer.iter().skip(line).step_by(width).filter(|v| **v == 0.0).count() as f64;
        assert!((column / rows as f64 - f64::from(p)).abs() < 0.15, "column {line}");
    }
}

/// A method defined outside the library: every expert is active with the same weight, and one more parameter is unused.
#[derive(Debug, Clone, Copy)]
struct Everyone(usize);

impl Everyone {
    const KIND: MethodKind = MethodKind {
        name: "everyone",
        help: "Every expert with the same weight",
        peft_type: "EVERYONE",
        settings: &[MethodSettings::NUM_EXPERTS],
        one_of: &[],
        file_keys: &[],
        file_extensions: &[],
        build: |settings| {
            let experts: NumExperts = settings.required::<usize, _>(&MethodSettings::NUM_EXPERTS)?;
            Ok(Arc::new(Self(experts.get())))
        },
    };
}

impl Method for Everyone {
    fn kind(&self) -> &'static MethodKind {
        &Self::KIND
    }

    fn settings(&self) -> MethodSettings {
        MethodSettings::new().with("num_experts", self.0)
    }

    fn num_experts(&self) -> usize {
        self.0
    }

    fn router(&self) -> Option<&dyn Router> {
        Some(self)
    }

    fn parameters(&self, shape: AdapterShape) -> Vec<ParameterSpec> {
        let mut parameters = ParameterSpec::mixture(shape, self.0);
        let state = ParameterSpec::new("state", "lora_state", [3], Initial::Zeros);
        parameters.push(ParameterSpec { trained: false, ..state });
        parameters
    }
}

impl Router for Everyone {
    fn route(&self, input: &RouterInput<'_>) -> Routing {
        let scores = input.scores();
        let everyone = scores.probabilities().ones_like();
        Routing { weights: everyone.clone() / self.0 as f32, ..Routing::proportional(scores, everyone) }
    }
}

#[test]
fn a_method_can_be_defined_outside_the_library() {
    let device = device();
    let config = AdapterConfig::new(Everyone(3), 2, 2.0, 0.0).unwrap();
    let adapter = Adapter::new(config.clone(), 4, 5, &[0], &device);
    let mut context = ForwardContext::evaluation().recording(RoutingDetail::Counts);
    adapter.forward(Tensor::ones([6, 4], &device), &mut context);
    assert_eq!(values(context.into_layers()[0].active_tokens.clone().into_data()), [6.0; 3]);
    assert_eq!(*(Everyone::KIND.build)(&config.method.settings()).unwrap(), *config.method);
    let names: Vec<_> = adapter.parameters().map(|(spec, _)| (spec.name, spec.trained)).collect();
    assert_eq!(names, [("a", true), ("b", true), ("gate", true), ("state", false)]);
}

#[test]
fn adapter_folders_carry_a_method_from_outside_once_it_is_registered() {
    let (base, folder) = (datasets().join("base"), tempfile::tempdir().unwrap());
    let mut model = load_base(&base, &device()).unwrap();
    let config = AdapterConfig::new(Everyone(3), 2, 2.0, 0.0).unwrap();
    model.adapt(&AdapterLayout::uniform(config, &Targets::attention(), model.config()).unwrap(), 1);
    let refusal = save_adapter(&model, None, folder.path()).unwrap_err();
    assert!(matches!(refusal, ModelError::NotRegistered { method: "everyone" }), "{refusal}");
    Everyone::KIND.register().unwrap();
    save_adapter(&model, None, folder.path()).unwrap();
    let mut other = load_base(&base, &device()).unwrap();
    assert_eq!(load_adapter(&mut other, folder.path()).unwrap(), model.layout());
    for ((_, saved), (_, loaded)) in model.linears().into_iter().zip(other.linears()) {
        let adapters = saved.adapter.as_ref().zip(loaded.adapter.as_ref());
        assert!(adapters.is_none_or(|(saved, loaded)| saved.a().into_data() == loaded.a().into_data()));
    }
}
