//! The kernels of Burn's CPU backend, on slices of float32; 16 bits are widened.
//!
//! Idle threads of the caller's team take part. The compiler vectorises the loops, for each width of vectors.

mod adamw;
#[cfg(target_arch = "x86_64")]
mod bfloat16;
mod cached;
mod elements;
mod elementwise;
mod exp;
mod few_rows;
mod heads;
mod linear;
mod loss;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod product;
mod quantized;
mod routing;
mod tiles;

use crate::{
    AdamWStep, CachedSequence, Dropout, Visibility,
    nodes::{Adjoints, CachedKernels, GateCurve, Kernels, PlainKernels},
    operations::AttentionScores,
};
use burn::backend::{
    Flex, TensorMetadata,
    flex::{FlexQTensor, FlexTensor},
};
use elements::{Floats, taken, tensor, typed};
use linear::{linear, linear_backward};
use product::{Matrix, add_product, product};

impl Kernels for Flex {
    fn linear_with_update(x: FlexTensor, weight: FlexTensor, mixed: FlexTensor, b: FlexTensor) -> FlexTensor {
        let mut y = linear(&x, &weight);
        add_update(&mut y, &mixed, &b);
        typed(y, product_shape(&x, &weight), x.dtype())
    }

    fn frozen_linear(x: FlexTensor, weight: FlexTensor) -> FlexTensor {
        typed(linear(&x, &weight), product_shape(&x, &weight), x.dtype())
    }

    fn quantized_linear(x: FlexTensor, weight: FlexQTensor) -> FlexTensor {
        let (x, [d_out, _]) = (Floats::of(&x), weight.tensor().shape().dims());
        x.like(quantized::linear(&x, &weight), [x.matrix().rows, d_out])
    }

    fn quantized_linear_with_update(
        x: FlexTensor,
        weight: FlexQTensor,
        mixed: FlexTensor,
        b: FlexTensor,
    ) -> FlexTensor {
        let (x, [d_out, _]) = (Floats::of(&x), weight.tensor().shape().dims());
        let mut y = quantized::linear(&x, &weight);
        add_update(&mut y, &mixed, &b);
        x.like(y, [x.matrix().rows, d_out])
    }

    fn adapter_input(x: FlexTensor, a: FlexTensor, dropout: Option<Dropout>) -> FlexTensor {
        let [x, a] = [x, a].map(|t| Floats::of(&t));
        let (rows, width) = (x.matrix().rows, a.matrix().rows);
        let dropped = dropped(&x, dropout);
        let (input, d_in) = (dropped.as_deref().unwrap_or(x.slice()), x.matrix().columns);
        a.like(linear::by_rows(input, a.slice(), [rows, d_in, width]), [rows, width])
    }

    fn gate_scores(logits: FlexTensor) -> FlexTensor {
        let ([rows, columns], dtype) = (logits.shape().dims(), logits.dtype());
        let mut values = taken(logits);
        routing::softmax(&mut values, columns);
        typed(values, [rows, columns], dtype)
    }

    fn adaptive_routing(
        logits: FlexTensor,
        bias: FlexTensor,
        tau_max: f32,
    ) -> (FlexTensor, FlexTensor, FlexTensor, FlexTensor, FlexTensor) {
        let ([rows, columns], dtype) = (logits.shape().dims(), logits.dtype());
        let of = |values: Vec<f32>, columns: usize| typed(values, [rows, columns], dtype);
        let (mut scores, experts) = (taken(logits), columns - 1);
        routing::threshold_scores(&mut scores, columns, Floats::of(&bias).slice()[0]);
        let margins = routing::margins(&scores, columns, tau_max);
        let active: Vec<f32> = margins.iter().map(|margin| f32::from(u8::from(*margin >= 0.0))).collect();
        let weights = routing::normalised(&margins, &active, experts);
        let thresholds = scores.iter().skip(experts).step_by(columns).map(|share| share * tau_max).collect();
        (of(scores, columns), of(margins, experts), of(active, experts), of(weights, experts), of(thresholds, 1))
    }

    fn normalised(scores: FlexTensor, selected: FlexTensor) -> FlexTensor {
        let [scores, selected] = [scores, selected].map(|t| Floats::of(&t));
        let weights = routing::normalised(scores.slice(), selected.slice(), scores.matrix().columns);
        scores.like(weights, scores.dims::<2>())
    }

    fn weighted_sum(values: FlexTensor, weights: FlexTensor) -> FlexTensor {
        let [values, weights] = [values, weights].map(|t| Floats::of(&t));
        let columns = values.matrix().columns;
        values.like(routing::weighted_sum(values.slice(), columns, weights.slice()), [1, columns])
    }

    fn weighted_experts(hidden: FlexTensor, weights: FlexTensor, scale: f32) -> FlexTensor {
        let [hidden, weights] = [hidden, weights].map(|t| Floats::of(&t));
        hidden.like(elementwise::weighted(hidden.slice(), weights.slice(), scale), hidden.dims::<2>())
    }

    fn gated(gate: FlexTensor, up: FlexTensor, curve: GateCurve) -> FlexTensor {
        let [gate, up] = [gate, up].map(|t| Floats::of(&t));
        gate.like(elementwise::gated(gate.slice(), up.slice(), curve), gate.dims::<2>())
    }

    fn rms_norm(x: FlexTensor, weight: FlexTensor, eps: f32) -> FlexTensor {
        let [x, weight] = [x, weight].map(|t| Floats::of(&t));
        x.like(elementwise::rms_norm(x.slice(), weight.slice(), eps), x.dims::<2>())
    }

    fn rotated_heads(x: FlexTensor, cos: FlexTensor, sin: FlexTensor, heads: usize) -> FlexTensor {
        let [x, cos, sin] = [x, cos, sin].map(|t| Floats::of(&t));
        let ([rows, _], [_, _, length, dim]) = (x.dims(), cos.dims());
        let y = heads::rotated_heads(x.slice(), [cos.slice(), sin.slice()], [length, heads, dim]);
        x.like(y, [rows / length.max(1), heads, length, dim])
    }

    fn tiled_attention(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        visible: Visibility,
        scores: AttentionScores,
    ) -> FlexTensor {
        let [mixed, _] = Self::attention_with_norms([q, k, v], &visible, scores);
        mixed
    }

    fn attention_again(
        _: FlexTensor,
        _: FlexTensor,
        _: FlexTensor,
        mixed: FlexTensor,
        _: FlexTensor,
        _: Visibility,
        _: AttentionScores,
    ) -> FlexTensor {
        mixed
    }
}

/// Adds `mixed b^T`.
fn add_update(y: &mut [f32], mixed: &FlexTensor, b: &FlexTensor) {
    let [mixed, b] = [mixed, b].map(Floats::of);
    let [rows, width] = mixed.dims();
    if few_rows::are_few(rows) {
        let update = few_rows::product(mixed.slice(), &few_rows::Floats(b.slice()), [rows, width, y.len() / rows]);
        y.iter_mut().zip(update).for_each(|(y, update)| *y += update);
    } else {
        add_product(y, mixed.matrix(), b.matrix().transposed());
    }
}

fn product_shape(x: &FlexTensor, weight: &FlexTensor) -> [usize; 2] {
    let ([rows, _], [d_out, _]) = (x.shape().dims(), weight.shape().dims());
    [rows, d_out]
}

/// The sizes of an attention with these queries and keys.
fn sizes(q: &Floats, k: &Floats) -> tiles::Sizes {
    let ([sequences, heads, queries, width], [_, kv_heads, keys, _]) = (q.dims(), k.dims());
    tiles::Sizes { sequences, heads, kv_heads, queries, keys, width }
}

/// `x` after dropout; `None` without dropout.
fn dropped(x: &Floats, dropout: Option<Dropout>) -> Option<Vec<f32>> {
    dropout.map(|dropout| {
        let mut dropped = x.slice().to_vec();
        dropout.apply(&mut dropped);
        dropped
    })
}

impl Adjoints for Flex {
    fn linear_backward(d: &FlexTensor, weight: &FlexTensor) -> FlexTensor {
        let ([rows, _], [_, d_in]) = (d.shape().dims(), weight.shape().dims());
        typed(linear_backward(d, weight), [rows, d_in], weight.dtype())
    }

    fn quantized_linear_backward(d: &FlexTensor, weight: &FlexQTensor) -> FlexTensor {
        let (d, [d_out, d_in]) = (Floats::of(d), weight.tensor().shape().dims());
        let weight = quantized::floats(weight);
        d.like(product(d.matrix(), Matrix::new(&weight, d_out, d_in)), [d.matrix().rows, d_in])
    }

    fn outer(d: &FlexTensor, right: &FlexTensor) -> FlexTensor {
        let [d, right] = [d, right].map(Floats::of);
        right.like(product(d.matrix().transposed(), right.matrix()), [d.matrix().columns, right.matrix().columns])
    }

    fn adapter_input_backward(
        x: FlexTensor,
        a: FlexTensor,
        dropout: Option<Dropout>,
        d: FlexTensor,
        [x_wanted, a_wanted]: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let [x, a, d] = [x, a, d].map(|t| Floats::of(&t));
        let (rows, d_in) = (x.matrix().rows, x.matrix().columns);
        let of_a = a_wanted.then(|| {
            let dropped = dropped(&x, dropout);
            let right = Matrix::new(dropped.as_deref().unwrap_or(x.slice()), rows, d_in);
            a.like(product(d.matrix().transposed(), right), a.dims::<2>())
        });
        let of_x = x_wanted.then(|| {
            let mut of_x = product(d.matrix(), a.matrix());
            if let Some(dropout) = dropout {
                dropout.apply(&mut of_x);
            }
            x.like(of_x, [rows, d_in])
        });
        [of_x, of_a]
    }

    fn gate_scores_backward(scores: FlexTensor, d: FlexTensor) -> FlexTensor {
        let scores = Floats::of(&scores);
        let mut values = taken(d);
        routing::softmax_backward(&mut values, scores.slice(), scores.matrix().columns);
        scores.like(values, scores.dims::<2>())
    }

    fn adaptive_margins_backward(scores: FlexTensor, tau_max: f32, d: FlexTensor) -> [FlexTensor; 2] {
        let [scores, d] = [scores, d].map(|t| Floats::of(&t));
        let columns = scores.matrix().columns;
        let mut values = routing::margins_backward(d.slice(), columns - 1, tau_max);
        let of_bias = routing::threshold_scores_backward(&mut values, scores.slice(), columns);
        [scores.like(values, scores.dims::<2>()), scores.like(vec![of_bias], [1])]
    }

    fn normalised_backward(scores: FlexTensor, selected: FlexTensor, d: FlexTensor) -> FlexTensor {
        let [scores, selected] = [scores, selected].map(|t| Floats::of(&t));
        let mut values = taken(d);
        routing::normalised_backward(&mut values, scores.slice(), selected.slice(), scores.matrix().columns);
        scores.like(values, scores.dims::<2>())
    }

    fn weighted_sum_backward(weights: FlexTensor, d: FlexTensor) -> FlexTensor {
        let [weights, d] = [weights, d].map(|t| Floats::of(&t));
        let shape = [weights.slice().len(), d.slice().len()];
        d.like(routing::weighted_sum_backward(weights.slice(), d.slice()), shape)
    }

    fn weighted_experts_backward(
        hidden: FlexTensor,
        weights: FlexTensor,
        scale: f32,
        d: FlexTensor,
    ) -> [FlexTensor; 2] {
        let [hidden, weights, d] = [hidden, weights, d].map(|t| Floats::of(&t));
        let of_hidden = elementwise::weighted(d.slice(), weights.slice(), scale);
        let of_weights = elementwise::grouped_dots(hidden.slice(), d.slice(), weights.slice().len(), scale);
        [hidden.like(of_hidden, hidden.dims::<2>()), weights.like(of_weights, weights.dims::<2>())]
    }

    fn gated_backward(gate: FlexTensor, up: FlexTensor, curve: GateCurve, d: FlexTensor) -> [FlexTensor; 2] {
        let [gate, up] = [gate, up].map(|t| Floats::of(&t));
        let shape = gate.dims::<2>();
        let (of_gate, of_up) = elementwise::gated_backward(gate.slice(), up.slice(), curve, Floats::of(&d).slice());
        [gate.like(of_gate, shape), up.like(of_up, shape)]
    }

    fn rms_norm_backward(x: FlexTensor, weight: FlexTensor, eps: f32, d: FlexTensor) -> FlexTensor {
        let [x, weight, d] = [x, weight, d].map(|t| Floats::of(&t));
        x.like(elementwise::rms_norm_backward(x.slice(), weight.slice(), eps, d.slice()), x.dims::<2>())
    }

    fn rotated_heads_backward(cos: FlexTensor, sin: FlexTensor, d: FlexTensor) -> FlexTensor {
        let [cos, sin, d] = [cos, sin, d].map(|t| Floats::of(&t));
        let [batch, heads, length, dim] = d.dims();
        let x = heads::rotated_heads_backward(d.slice(), [cos.slice(), sin.slice()], [length, heads, dim]);
        d.like(x, [batch * length, heads * dim])
    }

    fn attention_with_norms(inputs: [FlexTensor; 3], visible: &Visibility, scores: AttentionScores) -> [FlexTensor; 2] {
        let [q, k, v] = inputs.map(|t| Floats::of(&t));
        let sizes = sizes(&q, &k);
        let (mixed, norms) = tiles::forward([q.slice(), k.slice(), v.slice()], sizes, visible, scores);
        let tiles::Sizes { sequences, heads, queries, width, .. } = sizes;
        let mixed = heads::by_position(&mixed, [queries, heads, width]);
        [q.like(mixed, [sequences * queries, heads * width]), tensor(norms, [sequences, heads, queries, 2])]
    }

    fn attention_backward(
        inputs: [FlexTensor; 3],
        outputs: [FlexTensor; 2],
        visible: &Visibility,
        scores: AttentionScores,
        d: FlexTensor,
    ) -> [FlexTensor; 3] {
        let ([q, k, v], [mixed, norms]) = (inputs.map(|t| Floats::of(&t)), outputs.map(|t| Floats::of(&t)));
        let (sizes, d) = (sizes(&q, &k), Floats::of(&d));
        let by_head = |t: &Floats| heads::by_head(t.slice(), [sizes.queries, sizes.heads, sizes.width]);
        let (mixed, d) = (by_head(&mixed), by_head(&d));
        let known = [&mixed[..], norms.slice(), &d];
        let [of_q, of_k, of_v] = tiles::backward([q.slice(), k.slice(), v.slice()], sizes, visible, scores, known);
        [q.like(of_q, q.dims::<4>()), k.like(of_k, k.dims::<4>()), v.like(of_v, v.dims::<4>())]
    }
}

impl PlainKernels for Flex {
    fn linear_gradient(d: FlexTensor, weight: FlexTensor) -> FlexTensor {
        Self::linear_backward(&d, &weight)
    }

    fn attention_to_keep(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        visible: Visibility,
        scores: AttentionScores,
    ) -> (FlexTensor, FlexTensor) {
        Self::attention_with_norms([q, k, v], &visible, scores).into()
    }

    fn cross_entropy_gradient(logits: FlexTensor, targets: FlexTensor) -> (FlexTensor, FlexTensor) {
        let ([rows, vocabulary], dtype) = (logits.shape().dims(), logits.dtype());
        let targets: Vec<usize> = targets.into_data().iter::<i64>().map(|id| id as usize).collect();
        let mut values = taken(logits);
        let losses = loss::cross_entropy_gradient(&mut values, vocabulary, &targets);
        (typed(losses, [rows, 1], dtype), typed(values, [rows, vocabulary], dtype))
    }

    fn adamw(
        value: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        clip: FlexTensor,
        counts: FlexTensor,
        step: AdamWStep,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [_, experts, inner] = value.shape().dims();
        let (shape, dtypes) = (value.shape().dims::<3>(), [&value, &first, &second].map(|it| it.dtype()));
        let [clip, counts, gradient] = [clip, counts, gradient].map(|it| Floats::of(&it));
        let counts = &counts.slice()[step.first_count..][..experts];
        let mut changed = [value, first, second].map(taken);
        let [value, first, second] = changed.each_mut().map(Vec::as_mut_slice);
        adamw::adamw([value, first, second], gradient.slice(), inner, clip.slice()[0], counts, step);
        let [value, first, second] = changed;
        (typed(value, shape, dtypes[0]), typed(first, shape, dtypes[1]), typed(second, shape, dtypes[2]))
    }
}

impl CachedKernels for Flex {
    fn single_queries(
        q: FlexTensor,
        keys: FlexTensor,
        values: FlexTensor,
        sequences: Vec<CachedSequence>,
        window: Option<usize>,
        scores: AttentionScores,
    ) -> FlexTensor {
        let [q, keys, values] = [q, keys, values].map(|t| Floats::of(&t));
        let ([_, heads, rows, width], [kv_heads, slots, _]) = (q.dims(), keys.dims());
        let (sizes, cache) = (cached::Sizes { heads, kv_heads, slots, width }, [keys.slice(), values.slice()]);
        q.like(cached::single_queries(q.slice(), cache, sizes, &sequences, window, scores), [rows, heads * width])
    }
}
