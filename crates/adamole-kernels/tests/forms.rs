//! Every fused operation against its composed form: values, and gradients of their weighted sum.
#![cfg(feature = "flex")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod device;

use adamole_kernels::{
    AdamWStep, AdaptiveRouting, AttentionScores, CachedSequence, CounterRng, Dropout, LoadBalance, Visibility, adamw,
    adapter_input, adaptive_routing, attention, cached_attention, composed, cross_entropy_gradient, gate_scores,
    gathered_attention, geglu, linear, linear_gradient, linear_with_update, load_balance, normalised,
    quantized_linear_with_update, rms_norm, rotated_heads, square_sums, swiglu, top_choices, top_k, weighted_experts,
    weighted_sum,
};
use burn::tensor::{
    Device, Int, Tensor, TensorData,
    quantization::{QuantScheme, QuantValue, ScaleDtype},
};
use device::device;
use proptest::{collection::vec, prelude::*};

/// Cases of each property. A GPU compiles kernels for each case.
fn cases(on_the_cpu: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(if device() == Device::flex() { on_the_cpu } else { 2 }),
    }
}

fn random<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    let values = CounterRng::new(&[seed]).normal(shape.iter().product(), 1.0);
    Tensor::from_data(TensorData::new(values, shape), &device().autodiff())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Asserts that values agree within 2e-6 of the largest. Gradients cancel, and agree within 2e-5. Other devices than the CPU have
/// coarser exponentials: 1e-5 and 5e-5.
#[track_caller]
fn assert_close(what: &str, found: &[f32], expected: &[f32]) {
    let tolerance = match (device() == Device::flex(), what.starts_with("gradient")) {
        (true, false) => 2e-6,
        (true, true) => 2e-5,
        (false, false) => 1e-5,
        (false, true) => 5e-5,
    };
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0_f32, |scale, value| scale.max(value.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance * scale, "{what}[{i}] is {found}, expected {expected}");
    }
}

/// Compares values and gradients of both forms of an operation.
fn compare<const N: usize, const D: usize>(
    inputs: [Tensor<2>; N],
    fused: impl Fn([Tensor<2>; N]) -> Tensor<D>,
    composed: impl Fn([Tensor<2>; N]) -> Tensor<D>,
) {
    let run = |operation: &dyn Fn([Tensor<2>; N]) -> Tensor<D>| {
        let leaves = inputs.clone().map(|input| input.detach().require_grad());
        let y = operation(leaves.clone());
        let weights = random::<D>(99, y.dims());
        let gradients = (y.clone() * weights).sum().backward();
        (values(y), leaves.map(|leaf| values(leaf.grad(&gradients).unwrap())))
    };
    let (found, expected) = (run(&fused), run(&composed));
    assert_close("value", &found.0, &expected.0);
    for (input, (found, expected)) in found.1.iter().zip(&expected.1).enumerate() {
        assert_close(&format!("gradient of input {input}"), found, expected);
    }
    let plain = inputs.map(Tensor::inner);
    assert_close("without autodiff", &values(fused(plain.clone())), &expected.0);
}

type Balancing = fn(Tensor<2>, Tensor<2>, Tensor<2>, Option<Tensor<2>>, Option<Tensor<2>>, f32) -> LoadBalance;

/// What queries see beside the order of positions.
#[derive(Debug, Clone)]
enum Seen {
    All,
    /// Padding on the left of each sequence, and further hidden positions.
    Padded(usize, Option<usize>),
    /// Documents of this length.
    Documents(usize),
}

fn any_visibility() -> impl Strategy<Value = Seen> {
    prop_oneof![
        Just(Seen::All),
        (0..20_usize, prop::option::of(2..9_usize)).prop_map(|(left, gap)| Seen::Padded(left, gap)),
        (1..30_usize).prop_map(Seen::Documents),
    ]
}

fn compare_attention(
    [batch, kv_heads, group, width, queries, cached]: [usize; 6],
    window: Option<usize>,
    seen: &Seen,
    scores: AttentionScores,
) {
    // Documents are not cached.
    let cached = if matches!(seen, Seen::Documents(_)) { 0 } else { cached };
    let keys = queries + cached;
    let visible = match *seen {
        Seen::All => Visibility::padded(&vec![1; keys], keys, cached),
        Seen::Padded(left, gap) => {
            let is_token = |row: usize, key: usize| key >= left * row && gap.is_none_or(|gap| key % gap != 1);
            let tokens = (0..batch).flat_map(|row| (0..keys).map(move |key| (row, key)));
            Visibility::padded(&tokens.map(|(row, key)| u8::from(is_token(row, key))).collect::<Vec<_>>(), keys, cached)
        }
        Seen::Documents(length) => {
            let documents: Vec<u32> =
                (0..batch * queries).map(|i| ((i % queries + i / queries) / length) as u32).collect();
            Visibility::documents(&documents, queries)
        }
    };
    let visible = window.and_then(|window| visible.within(window)).unwrap_or(visible);
    let of = |form: fn(Tensor<4>, Tensor<4>, Tensor<4>, &Visibility, AttentionScores) -> Tensor<2>| {
        let visible = visible.clone();
        move |[q, k, v]: [Tensor<2>; 3]| {
            let heads = |x: Tensor<2>, heads, length| x.reshape([batch, heads, length, width]);
            let (q, k, v) = (heads(q, kv_heads * group, queries), heads(k, kv_heads, keys), heads(v, kv_heads, keys));
            form(q, k, v, &visible, scores)
        }
    };
    let inputs = [
        random(1, [batch * kv_heads * group * queries, width]),
        random(2, [batch * kv_heads * keys, width]),
        random(3, [batch * kv_heads * keys, width]),
    ];
    compare(inputs, of(attention), of(composed::attention));
}

#[test]
fn attention_over_several_tiles_equals_its_composed_form() {
    if device() != Device::flex() {
        return;
    }
    let scores = AttentionScores { scale: 0.3, cap: None };
    for (sizes, window, seen) in [
        ([1, 1, 1, 8, 1300, 0], None, Seen::All),
        ([2, 1, 3, 4, 520, 0], Some(100), Seen::All),
        ([2, 2, 2, 4, 300, 0], None, Seen::Padded(270, None)),
        ([1, 1, 2, 4, 700, 0], None, Seen::Documents(230)),
        ([1, 1, 2, 4, 1400, 0], None, Seen::Documents(45)),
        ([1, 2, 2, 4, 3, 600], Some(300), Seen::All),
        ([2, 1, 2, 4, 600, 40], None, Seen::Padded(3, Some(5))),
    ] {
        compare_attention(sizes, window, &seen, scores);
        compare_attention(sizes, window, &seen, AttentionScores { cap: Some(2.0), ..scores });
    }
}

/// The largest sizes of the test above would take a software device minutes.
#[cfg(feature = "wgpu")]
#[test]
fn attention_in_parts_of_the_queries_equals_its_composed_form() {
    if device() == Device::flex() {
        return;
    }
    for rows in [1, 5] {
        for (sizes, window, seen) in [
            ([1, 1, 2, 4, 12, 0], None, Seen::All),
            ([2, 2, 1, 4, 9, 3], Some(4), Seen::All),
            ([2, 1, 2, 4, 11, 0], None, Seen::Padded(3, Some(5))),
            ([2, 1, 2, 4, 11, 0], None, Seen::Documents(4)),
        ] {
            let [batch, kv_heads, group, _, queries, cached] = sizes;
            adamole_kernels::limit_attention_scores(batch * kv_heads * group * (queries + cached) * rows);
            compare_attention(sizes, window, &seen, AttentionScores { scale: 0.3, cap: Some(2.0) });
        }
    }
    adamole_kernels::limit_attention_scores(1 << 26);
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_linear_with_update_equals_its_composed_form(
        rows in 1..40_usize, d_in in 1..40_usize, d_out in 1..40_usize, width in 1..20_usize,
    ) {
        let weight = random::<2>(1, [d_out, d_in]);
        let of = |form: fn(Tensor<2>, Tensor<2>, Tensor<2>, Tensor<2>) -> Tensor<2>| {
            let weight = weight.clone();
            move |[x, mixed, b]: [Tensor<2>; 3]| {
                let weight = if x.is_autodiff() { weight.clone() } else { weight.clone().inner() };
                form(x, weight, mixed, b)
            }
        };
        let inputs = [random(2, [rows, d_in]), random(3, [rows, width]), random(4, [d_out, width])];
        compare(inputs, of(linear_with_update), of(composed::linear_with_update));
    }

    #[test]
    fn a_quantised_linear_with_update_equals_its_composed_form(
        rows in 1..40_usize, blocks in 1..4_usize, d_out in 1..40_usize, width in 1..20_usize,
    ) {
        let scheme = QuantScheme::default().with_value(QuantValue::Q8S).per_block([32], ScaleDtype::F32);
        let d_in = 32 * blocks;
        let weight = random::<2>(1, [d_out, d_in]).inner().quantize_dynamic(&scheme);
        let of = |form: fn(Tensor<2>, Tensor<2>, Tensor<2>, Tensor<2>) -> Tensor<2>| {
            let weight = weight.clone();
            move |[x, mixed, b]: [Tensor<2>; 3]| {
                let weight = if x.is_autodiff() { Tensor::from_inner(weight.clone()) } else { weight.clone() };
                form(x, weight, mixed, b)
            }
        };
        let inputs = [random(2, [rows, d_in]), random(3, [rows, width]), random(4, [d_out, width])];
        compare(inputs, of(quantized_linear_with_update), of(composed::quantized_linear_with_update));
    }

    #[test]
    fn a_linear_and_its_gradient_equal_matrix_products(rows in 1..40_usize, d_in in 1..40_usize, d_out in 1..40_usize) {
        let weight = random::<2>(1, [d_out, d_in]);
        let of = |form: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
            let weight = weight.clone();
            move |[x]: [Tensor<2>; 1]| form(x.clone(), if x.is_autodiff() { weight.clone() } else { weight.clone().inner() })
        };
        compare([random(2, [rows, d_in])], of(linear), of(|x, weight| x.matmul(weight.transpose())));
        let (d, weight) = (random::<2>(3, [rows, d_out]).inner(), weight.inner());
        assert_close("input", &values(linear_gradient(d.clone(), weight.clone())), &values(d.matmul(weight)));
    }

    #[test]
    fn an_adapter_input_equals_its_composed_form(
        rows in 1..40_usize, d_in in 1..40_usize, width in 1..20_usize, dropout in prop::option::of(0.0_f32..0.9),
    ) {
        let dropout = dropout.map(|p| Dropout::new(7, p));
        let inputs = [random(2, [rows, d_in]), random(3, [width, d_in])];
        compare(inputs, |[x, a]| adapter_input(x, a, dropout), |[x, a]| composed::adapter_input(x, a, dropout));
    }

    #[test]
    fn a_dropout_mask_equals_its_composed_form_on_the_cpu(
        key in any::<u64>(), p in 0.0_f32..0.9, rows in 1..40_usize, columns in 1..40_usize,
    ) {
        let dropout = Dropout::new(key, p);
        let on = |device: Device| values(dropout.mask([rows, columns], &device));
        assert_eq!(on(device()), on(Device::flex()));
    }

    #[test]
    fn gate_scores_equal_their_composed_form(rows in 1..40_usize, experts in 1..40_usize, size in 0.1_f32..20.0) {
        let logits = random::<2>(2, [rows, experts]) * size;
        compare([logits], |[x]| gate_scores(x), |[x]| composed::gate_scores(x));
    }

    #[test]
    fn adaptive_routing_equals_its_composed_form(
        rows in 1..40_usize, experts in 1..40_usize, size in 0.1_f32..20.0, tau_max in 0.0_f32..1.0,
    ) {
        let inputs = || [random::<2>(2, [rows, experts + 1]) * size, random(3, [1, 1])];
        let of = |route: fn(Tensor<2>, Tensor<1>, f32) -> AdaptiveRouting, part: fn(AdaptiveRouting) -> Tensor<2>| {
            move |[logits, bias]: [Tensor<2>; 2]| part(route(logits, bias.reshape([1]), tau_max))
        };
        // As for the loss and the experts together: the gradient of the margins comes from both. Where what the weights were
        // divided by is hardly above 0, rounding would decide their gradients, so it is taken out again.
        let weights_and_margins = |it: AdaptiveRouting| {
            let divisors = (it.margins.clone() * it.active).sum_dim(1).detach();
            it.weights * divisors * 3.0 + it.margins
        };
        compare(inputs(), of(adaptive_routing, weights_and_margins), of(composed::adaptive_routing, weights_and_margins));
        compare(inputs(), of(adaptive_routing, |it| it.margins), of(composed::adaptive_routing, |it| it.margins));
        let constants: [fn(AdaptiveRouting) -> Tensor<2>; 3] = [|it| it.scores, |it| it.active, |it| it.thresholds];
        for part in constants {
            let [found, expected] = [adaptive_routing, composed::adaptive_routing].map(|it| of(it, part)(inputs()));
            assert_close("value", &values(found), &values(expected));
        }
    }

    #[test]
    fn choices_equal_their_composed_form(rows in 1..40_usize, experts in 1..40_usize, k in 0..5_usize, levels in 1..30_usize) {
        // Few levels make for many equals.
        let scores = (random::<2>(2, [rows, experts]) * levels as f32).int().float();
        prop_assert_eq!(values(top_k(scores.clone(), k)), values(composed::top_k(scores.clone(), k)));
        let [found, expected] = [top_choices, composed::top_choices].map(|form| form(scores.clone(), k));
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.into_iter().zip(expected) {
            prop_assert_eq!(values(found), values(expected));
        }
    }

    #[test]
    fn load_balances_equal_their_composed_form(
        rows in 1..700_usize, experts in 1..40_usize, factor in 0.1_f32..2.0, has_thresholds: bool, has_mask: bool,
    ) {
        let of_rows = |seed, columns: usize| random::<2>(seed, [rows, columns]).inner();
        let ones = |seed, columns| of_rows(seed, columns).greater_elem(0.0).float();
        let (requested, active) = (ones(1, experts), ones(2, experts));
        let (thresholds, mask) = (has_thresholds.then(|| of_rows(3, 1)), has_mask.then(|| ones(4, 1)));
        let balance = |form: Balancing, scores: Tensor<2>| {
            let place = |it: Tensor<2>| if scores.is_autodiff() { Tensor::from_inner(it) } else { it };
            let [requested, active] = [requested.clone(), active.clone()].map(place);
            let [thresholds, mask] = [thresholds.clone(), mask.clone()].map(|it| it.map(place));
            form(requested, scores.clone(), active, thresholds, mask, factor / rows as f32)
        };
        let loss = |form: Balancing| move |[scores]: [Tensor<2>; 1]| balance(form, scores).loss;
        compare([random(5, [rows, experts])], loss(load_balance), loss(composed::load_balance));
        let [found, expected] = [load_balance as Balancing, composed::load_balance].map(|it| balance(it, of_rows(5, experts)));
        assert_close("active tokens", &values(found.active_tokens), &values(expected.active_tokens));
        assert_eq!(found.threshold_sum.is_some(), has_thresholds);
        for (found, expected) in found.threshold_sum.into_iter().zip(expected.threshold_sum) {
            assert_close("thresholds", &values(found), &values(expected));
        }
    }

    #[test]
    fn normalised_scores_equal_their_composed_form(rows in 1..40_usize, experts in 1..40_usize, share in 0.0_f32..1.0) {
        // Selected scores are positive. Some rows have none.
        let scores = random::<2>(2, [rows, experts]).square() + 0.01;
        let selected: Vec<f32> =
            CounterRng::new(&[3]).uniform(rows * experts, 1.0).iter().map(|u| f32::from(u.abs() < share)).collect();
        let of = |form: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
            let selected = TensorData::new(selected.clone(), [rows, experts]);
            move |[x]: [Tensor<2>; 1]| form(x.clone(), Tensor::from_data(selected.clone(), &x.device()))
        };
        compare([scores], of(normalised), of(composed::normalised));
    }

    #[test]
    fn a_row_whose_scores_are_all_zero_is_not_divided(experts in 1..40_usize) {
        let of = |form: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| move |[x]: [Tensor<2>; 1]| form(x.clone(), x.ones_like());
        compare([random::<2>(2, [3, experts]) * 0.0], of(normalised), of(composed::normalised));
    }

    #[test]
    fn a_weighted_sum_equals_its_composed_form(rows in 1..40_usize, columns in 1..40_usize) {
        let of = |form: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
            move |[x]: [Tensor<2>; 1]| {
                let weights = random(3, [rows, 1]);
                form(x.clone(), if x.is_autodiff() { weights } else { weights.inner() })
            }
        };
        compare([random(2, [rows, columns])], of(weighted_sum), of(composed::weighted_sum));
    }

    #[test]
    fn a_step_of_adamw_equals_its_composed_form(
        outer in 1..9_usize, inner in 1..40_usize, clip in 0.01..1.0_f32,
        counts in vec(prop_oneof![-9..2_i32, 1..200, 1..200_000], 1..9), first_count in 0..3_usize,
    ) {
        let experts = counts.len();
        let of = |seed| random::<3>(seed, [outer, experts, inner]).inner();
        let (value, gradient, moments) = (of(1), of(2), [of(3) * 0.1, of(4).square()]);
        let step = AdamWStep { beta_1: 0.9, beta_2: 0.999, rate: 1e-2, epsilon: 1e-8, decay: 0.99, first_count };
        let counts: Vec<f32> = [7; 3][..first_count].iter().chain(&counts).map(|count| *count as f32).collect();
        let [clip, counts] = [&[clip][..], &counts].map(|numbers| Tensor::<1>::from_data(numbers, &device()));
        let found = adamw(value.clone(), gradient.clone(), moments.clone(), clip.clone(), counts.clone(), step);
        let expected = composed::adamw(value, gradient, moments, clip, counts, step);
        for (what, (found, expected)) in ["value", "first", "second"].into_iter().zip(found.into_iter().zip(expected)) {
            assert_close(what, &values(found), &values(expected));
        }
    }

    #[test]
    fn square_sums_add_up_in_their_composed_form(lengths in vec(1..20_000_usize, 1..5)) {
        let tensors: Vec<Tensor<1>> = (1..).zip(lengths).map(|(seed, length)| random(seed, [length]).inner()).collect();
        let sums = values(square_sums(tensors.clone()).unwrap().sum_dim(1));
        let expected: Vec<f32> = tensors.into_iter().flat_map(|x| values(x.square().sum())).collect();
        for (found, expected) in sums.iter().zip(&expected) {
            assert_close("sum", &[*found], &[*expected]);
        }
        assert_eq!(sums.len(), expected.len());
    }

    #[test]
    fn weighted_experts_equal_their_composed_form(
        rows in 1..40_usize, experts in 1..10_usize, rank in 1..9_usize, scale in 0.1_f32..4.0,
    ) {
        let inputs = [random(1, [rows, experts * rank]), random(2, [rows, experts])];
        compare(
            inputs,
            |[hidden, weights]| weighted_experts(hidden, weights, scale),
            |[hidden, weights]| composed::weighted_experts(hidden, weights, scale),
        );
    }

    #[test]
    fn gated_units_equal_their_composed_forms(rows in 1..40_usize, width in 1..70_usize, size in 0.1_f32..30.0) {
        let inputs = [random::<2>(1, [rows, width]) * size, random(2, [rows, width])];
        compare(inputs.clone(), |[gate, up]| swiglu(gate, up), |[gate, up]| composed::swiglu(gate, up));
        compare(inputs, |[gate, up]| geglu(gate, up), |[gate, up]| composed::geglu(gate, up));
    }

    #[test]
    fn rms_norm_equals_its_composed_form(rows in 1..40_usize, width in 1..70_usize, size in 0.01_f32..30.0) {
        let weight = Tensor::<1>::from_data(TensorData::new(CounterRng::new(&[5]).normal(width, 1.0), [width]), &device());
        let of = |form: fn(Tensor<2>, Tensor<1>, f32) -> Tensor<2>| {
            let weight = weight.clone();
            move |[x]: [Tensor<2>; 1]| {
                let weight = if x.is_autodiff() { Tensor::from_inner(weight.clone()) } else { weight.clone() };
                form(x, weight, 1e-5)
            }
        };
        compare([random::<2>(1, [rows, width]) * size], of(rms_norm), of(composed::rms_norm));
    }

    #[test]
    fn rotated_heads_equal_their_composed_form(
        batch in 1..4_usize, length in 1..9_usize, heads in 1..4_usize, half in 1..20_usize,
    ) {
        let dim = 2 * half;
        let table = |f: fn(f32) -> f32| {
            let angle = |i: usize| f((i / dim) as f32 * 0.3 + (i % half) as f32);
            let angles: Vec<f32> = (0..length * dim).map(angle).collect();
            Tensor::<4>::from_data(TensorData::new(angles, [1, 1, length, dim]), &device())
        };
        let of = |form: fn(Tensor<2>, Tensor<4>, Tensor<4>, usize) -> Tensor<4>| {
            let (cos, sin) = (table(f32::cos), table(f32::sin));
            move |[x]: [Tensor<2>; 1]| {
                let place = |t: &Tensor<4>| if x.is_autodiff() { Tensor::from_inner(t.clone()) } else { t.clone() };
                let (cos, sin) = (place(&cos), place(&sin));
                form(x, cos, sin, heads)
            }
        };
        compare([random(1, [batch * length, heads * dim])], of(rotated_heads), of(composed::rotated_heads));
    }

    #[test]
    fn attention_equals_its_composed_form(
        batch in 1..3_usize, kv_heads in 1..3_usize, group in 1..4_usize, half in 1..5_usize, queries in 1..40_usize,
        cached in 0..20_usize, scale in 0.1_f32..1.0, cap in prop::option::of(0.5_f32..5.0),
        window in prop::option::of(1..30_usize), seen in any_visibility(),
    ) {
        let sizes = [batch, kv_heads, group, 2 * half, queries, cached];
        compare_attention(sizes, window, &seen, AttentionScores { scale, cap });
    }

    #[test]
    fn the_loss_and_its_gradient_equal_their_composed_forms(
        rows in 1..20_usize, vocabulary in 1..3000_usize, size in 0.1_f32..20.0,
    ) {
        let logits = random::<2>(1, [rows, vocabulary]).inner() * size;
        let targets: Vec<i32> = (0..rows).map(|row| (row * 31 % vocabulary) as i32).collect();
        let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [rows]), &device());
        let found = cross_entropy_gradient(logits.clone(), targets.clone());
        let expected = composed::cross_entropy_gradient(logits, targets);
        assert_close("loss", &values(found.0), &values(expected.0));
        assert_close("gradient", &values(found.1), &values(expected.1));
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn attention_over_blocks_of_a_cache_equals_that_over_copies(
        kv_heads in 1..3_usize, group in 1..4_usize, half in 1..9_usize, block in 1..7_usize,
        lengths in prop::collection::vec((prop_oneof![3 => Just(1_usize), 1 => 2..6_usize], 0..30_usize), 1..6),
        order in any::<u64>(), cap in prop::option::of(0.5_f32..5.0), window in prop::option::of(1..20_usize),
    ) {
        let needed = |(queries, past): &(usize, usize)| (queries + past).div_ceil(block);
        let blocks: usize = lengths.iter().map(needed).sum();
        // Blocks lie in any order.
        let mut free: Vec<u32> = (0..blocks as u32).collect();
        free.sort_by_key(|block| CounterRng::new(&[order, u64::from(*block)]).next_u64());
        let sequence = |of: &(usize, usize)| CachedSequence {
            queries: of.0,
            keys: of.0 + of.1,
            blocks: free.split_off(free.len() - needed(of)).into(),
            block,
        };
        let sequences: Vec<CachedSequence> = lengths.iter().map(sequence).collect();
        let rows = lengths.iter().map(|(queries, _)| queries).sum();
        let q = random::<4>(1, [1, kv_heads * group, rows, 2 * half]).inner();
        let [keys, cached] = [2, 3].map(|seed| random::<3>(seed, [kv_heads, blocks * block, 2 * half]).inner());
        let scores = AttentionScores { scale: 0.4, cap };
        let found = cached_attention(q.clone(), [&keys, &cached], &sequences, window, scores);
        let expected = gathered_attention(q, [&keys, &cached], &sequences, window, scores);
        assert_close("value", &values(found), &values(expected));
    }
}

#[test]
fn shared_tensors_are_not_overwritten() {
    let logits = random::<2>(1, [2, 3]).inner();
    let before = values(logits.clone());
    let scores = gate_scores(logits.clone());
    assert_eq!(values(logits), before);
    assert_ne!(values(scores), before);
}
