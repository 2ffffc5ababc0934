//! Every router against its definition, row by row, and what they have in common.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adamole::core::{
    AdaptedLinear, AdapterConfig, CounterRng, DropoutSeed, ForwardContext, Method, RoutingDetail, Rows, Selection,
    ValidRows,
    router::{Capacity, FixedThreshold, Router, RouterInput, Routing, Sira, TopKExperts, TopPExperts},
};
use adamole_tests::{assert_close, device, max_difference, values};
use burn::{
    module::Param,
    tensor::{Tensor, TensorData, activation::softmax},
};
use proptest::prelude::*;

fn probabilities(rows: usize, experts: usize, seed: u64) -> Tensor<2> {
    let logits = CounterRng::new(&[seed]).normal(rows * experts, 1.5);
    softmax(Tensor::from_data(TensorData::new(logits, [rows, experts]), &device()), 1)
}

fn route(router: &dyn Router, probs: Tensor<2>) -> Routing {
    let rows = Rows::new(probs.dims()[0], 1, None);
    let num_experts = probs.dims()[1];
    router.route(&RouterInput { scores: probs, num_experts, gate_mask: None, rows: &rows, training: false })
}

/// Experts by falling probability.
fn ranked(row: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    order
}

/// Compares with the experts that `choose` names for each row.
fn check(router: &dyn Router, probs: Tensor<2>, choose: impl Fn(&[f32]) -> Vec<usize>) {
    let experts = probs.dims()[1];
    let routing = route(router, probs.clone());
    let (probs, weights) = (values(probs.into_data()), values(routing.weights.into_data()));
    let selected = values(routing.selected.into_data());
    for ((row, weights), selected) in probs.chunks(experts).zip(weights.chunks(experts)).zip(selected.chunks(experts)) {
        let chosen = choose(row);
        let sum: f32 = chosen.iter().map(|&i| row[i]).sum();
        let expected: Vec<f32> = (0..experts).map(|i| if chosen.contains(&i) { row[i] / sum } else { 0.0 }).collect();
        assert_close("weights", weights, &expected, 1e-6, 1e-5);
        let fires: Vec<usize> = (0..experts).filter(|&i| selected[i] == 1.0).collect();
        let mut chosen = chosen;
        chosen.sort_unstable();
        assert_eq!(fires, chosen, "{row:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn top_k_takes_the_k_most_probable(rows in 1_usize..20, experts in 1_usize..12, k in 1_usize..14, seed: u32) {
        let router = TopKExperts::new(k.try_into().unwrap());
        check(&router, probabilities(rows, experts, seed.into()), |row| ranked(row)[..k.min(experts)].to_vec());
    }

    #[test]
    fn a_threshold_takes_all_that_reach_it(rows in 1_usize..20, experts in 1_usize..12, tau in 0.0_f32..0.6, seed: u32) {
        let all = |row: &[f32]| (0..row.len()).filter(|&i| row[i] >= tau).collect();
        check(&FixedThreshold::new(tau), probabilities(rows, experts, seed.into()), all);
    }

    #[test]
    fn top_p_takes_the_fewest_that_reach_the_share(
        rows in 1_usize..20, experts in 1_usize..12, share in 0.01_f32..0.99, seed: u32,
    ) {
        let router = TopPExperts::new(share.try_into().unwrap());
        check(&router, probabilities(rows, experts, seed.into()), |row| {
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
    fn sira_turns_away_what_comes_too_late(
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
        let router = Sira {
            top_k: k.try_into().unwrap(),
            capacity: Some(Capacity::Tokens(capacity)),
            gate_dropout: 0.0.try_into().unwrap(),
            renormalise: false,
        };
        let scores = probs.clone();
        let input = RouterInput { scores, num_experts: experts, gate_mask: None, rows: &rows, training: true };
        let routing = router.route(&input);
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
    fn the_order_of_the_experts_does_not_show(rows in 1_usize..6, experts in 2_usize..7, seed: u32, turn in 1_usize..6) {
        let device = device();
        let (rank, d_in, d_out) = (2, 5, 4);
        let seed = u64::from(seed);
        for selection in [None, Some(Selection::TopK(2.try_into().unwrap())), Some(Selection::TopP(0.5.try_into().unwrap()))] {
            let num_experts = experts.try_into().unwrap();
            let method = match selection {
                None => Method::AdaMole { num_experts, tau_max: None },
                Some(selection) => Method::Mole { num_experts, selection },
            };
            let config = AdapterConfig { method, rank: rank.try_into().unwrap(), alpha: 4.0, dropout: 0.0.try_into().unwrap() };
            let random = |key: u64, shape: [usize; 2]| {
                let values = CounterRng::new(&[seed, key]).normal(shape[0] * shape[1], 1.0);
                Tensor::<2>::from_data(TensorData::new(values, shape), &device)
            };
            let mut layer = AdaptedLinear::frozen(random(0, [d_out, d_in]), None);
            layer.adapt(config, &[seed]);
            let adapter = layer.adapter.as_mut().unwrap();
            adapter.b = Param::from_tensor(random(1, [d_out, experts * rank]));
            let mut turned = layer.clone();
            let adapter = turned.adapter.as_mut().unwrap();
            let by = if experts == 2 { 1 } else { 1 + turn % (experts - 1) };
            let roll = |t: Tensor<2>, dim: usize, by: usize| {
                let rest = t.dims()[dim] - by;
                Tensor::cat(vec![t.clone().narrow(dim, by, rest), t.narrow(dim, 0, by)], dim)
            };
            adapter.a = Param::from_tensor(roll(adapter.a.val(), 0, by * rank));
            adapter.b = Param::from_tensor(roll(adapter.b.val(), 1, by * rank));
            adapter.gate = Some(Param::from_tensor(roll(adapter.gate.as_ref().unwrap().val(), 0, by)));
            let x = random(2, [rows, d_in]);
            let run = |layer: &AdaptedLinear| {
                let mut context = ForwardContext::evaluation().recording(RoutingDetail::Counts);
                let y = values(layer.forward(x.clone(), &mut context).into_data());
                (y, values(context.balance_loss().unwrap().into_data()))
            };
            let ((y, balance), (turned_y, turned_balance)) = (run(&layer), run(&turned));
            assert_close("y", &turned_y, &y, 2e-4, 1e-4);
            assert_close("balance", &turned_balance, &balance, 1e-4, 1e-4);
        }
    }
}

#[test]
fn sira_has_its_capacity_and_no_dropout_outside_training() {
    let router = |capacity: Option<usize>| Sira {
        top_k: 2.try_into().unwrap(),
        capacity: capacity.map(Capacity::Tokens),
        gate_dropout: 0.5.try_into().unwrap(),
        renormalise: true,
    };
    let probs = probabilities(12, 4, 3);
    let sira = values(route(&router(None), probs.clone()).weights.into_data());
    let top_k = values(route(&TopKExperts::new(2.try_into().unwrap()), probs.clone()).weights.into_data());
    assert!(max_difference(&sira, &top_k) < 1e-6);
    let limited = values(route(&router(Some(1)), probs).selected.into_data());
    assert_eq!(limited.iter().sum::<f32>(), 4.0, "one token for each expert: {limited:?}");
}

/// Dropped inputs and gates are as many as they should be, differ from site to site and from step to step, and keep the
/// mean.
#[test]
fn dropout_has_the_right_distribution() {
    let device = device();
    let (rows, width, p) = (400, 300, 0.3_f32);
    let config = AdapterConfig {
        method: Method::Lora,
        rank: width.try_into().unwrap(),
        alpha: width as f32,
        dropout: p.try_into().unwrap(),
    };
    // With A and B the identity the layer adds its dropped-out input.
    let mut layer = AdaptedLinear::frozen(Tensor::zeros([width, width], &device), None);
    layer.adapt(config, &[0]);
    let adapter = layer.adapter.as_mut().unwrap();
    adapter.a = Param::from_tensor(Tensor::eye(width, &device));
    adapter.b = Param::from_tensor(Tensor::eye(width, &device));
    let dropped = |step: u64| {
        let seed = DropoutSeed { run: 1, step, micro_batch: 0 };
        let mut context = ForwardContext::training(seed);
        let x = Tensor::ones([rows, width], &device);
        [0, 1].map(|_| values(layer.forward(x.clone(), &mut context).into_data()))
    };
    let [first_site, second_site] = dropped(0);
    let [next_step, _] = dropped(1);
    let kept = 1.0 / (1.0 - p);
    assert!(first_site.iter().all(|v| *v == 0.0 || (v - kept).abs() < 1e-4));
    let count = (rows * width) as f64;
    let share = |mask: &[f32]| mask.iter().filter(|v| **v == 0.0).count() as f64 / count;
    let deviation = (f64::from(p * (1.0 - p)) / count).sqrt();
    assert!((share(&first_site) - f64::from(p)).abs() < 5.0 * deviation, "{}", share(&first_site));
    // Independent masks agree on zero with probability p squared.
    for other in [&second_site, &next_step] {
        let both = first_site.iter().zip(other).filter(|(a, b)| **a == 0.0 && **b == 0.0).count() as f64 / count;
        assert!((both - f64::from(p * p)).abs() < 5.0 * (f64::from(p * p) / count).sqrt(), "{both}");
    }
    // Rows and columns are dropped alike.
    for line in 0..10 {
        let row = first_site[line * width..(line + 1) * width].iter().filter(|v| **v == 0.0).count() as f64;
        assert!((row / width as f64 - f64::from(p)).abs() < 0.15, "row {line}");
        let column = first_site.iter().skip(line).step_by(width).filter(|v| **v == 0.0).count() as f64;
        assert!((column / rows as f64 - f64::from(p)).abs() < 0.15, "column {line}");
    }
}

#[test]
fn a_router_of_ones_own_is_one_file() {
    #[derive(Debug)]
    struct Everyone;
    impl Router for Everyone {
        fn route(&self, input: &RouterInput<'_>) -> Routing {
            let everyone = input.probs().ones_like();
            Routing {
                weights: everyone.clone() / everyone.dims()[1] as f32,
                selected: everyone.clone(),
                chosen: everyone,
                balance: input.probs(),
            }
        }
    }
    let device = device();
    let method = Method::AdaMole { num_experts: 3.try_into().unwrap(), tau_max: None };
    let config = AdapterConfig { method, rank: 2.try_into().unwrap(), alpha: 2.0, dropout: 0.0.try_into().unwrap() };
    let adapter = adamole::core::Adapter::with_router(config, std::sync::Arc::new(Everyone), 4, 5, &[0], &device);
    assert!(adapter.threshold.is_none());
    let mut context = ForwardContext::evaluation().recording(RoutingDetail::Counts);
    adapter.forward(Tensor::ones([6, 4], &device), &mut context);
    assert_eq!(values(context.into_sites()[0].selected_count.clone().into_data()), [6.0; 3]);
}
