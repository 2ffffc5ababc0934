//! The operations as nodes of the autodiff graph: the state that each keeps for the backward pass, and the kernel of its
//! gradient.

use crate::{AdamWStep, Dropout, Visibility, operations::AttentionScores};
use burn::backend::{
    Autodiff, AutodiffBackend, Backend,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    },
    backend_extension,
    tensor::{FloatTensor, IntTensor, QuantizedTensor},
};

/// The activation of a gated linear unit, `g sigmoid(s(g))`; `s` depends on the variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GateCurve {
    Silu,
    GeluTanh,
}

/// The fused operations of a backend; see [`operations`](crate::operations).
#[backend_extension(Flex: cfg(feature = "flex"), Cube: cfg(feature = "cube"), Autodiff)]
pub(crate) trait Kernels: Backend {
    fn linear_with_update(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        mixed: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn frozen_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    fn quantized_linear(x: FloatTensor<Self>, weight: QuantizedTensor<Self>) -> FloatTensor<Self>;

    fn quantized_linear_with_update(
        x: FloatTensor<Self>,
        weight: QuantizedTensor<Self>,
        mixed: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn adapter_input(x: FloatTensor<Self>, a: FloatTensor<Self>, dropout: Option<Dropout>) -> FloatTensor<Self>;

    fn gate_scores(logits: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Scores, margins, active, weights and thresholds of [`AdaptiveRouting`](crate::AdaptiveRouting).
    #[allow(clippy::type_complexity, reason = "the macro has to see the tuple itself")]
    fn adaptive_routing(
        logits: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        tau_max: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    fn normalised(scores: FloatTensor<Self>, selected: FloatTensor<Self>) -> FloatTensor<Self>;

    fn weighted_sum(values: FloatTensor<Self>, weights: FloatTensor<Self>) -> FloatTensor<Self>;

    fn weighted_experts(hidden: FloatTensor<Self>, weights: FloatTensor<Self>, scale: f32) -> FloatTensor<Self>;

    fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, curve: GateCurve) -> FloatTensor<Self>;

    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self>;

    fn rotated_heads(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;

    fn tiled_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        visible: Visibility,
        scores: AttentionScores,
    ) -> FloatTensor<Self>;

    /// The same where the result is known: `mixed` and `norms` are what [`PlainKernels::attention_to_keep`] returns.
    fn attention_again(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        mixed: FloatTensor<Self>,
        norms: FloatTensor<Self>,
        visible: Visibility,
        scores: AttentionScores,
    ) -> FloatTensor<Self>;
}

/// Operations that are not differentiable.
#[backend_extension(Flex: cfg(feature = "flex"), Cube: cfg(feature = "cube"))]
pub(crate) trait PlainKernels: Backend {
    fn linear_gradient(d: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// [`Kernels::tiled_attention`], and what its gradient needs of it; see [`Adjoints::attention_with_norms`].
    fn attention_to_keep(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        visible: Visibility,
        scores: AttentionScores,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    fn cross_entropy_gradient(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// See [`adamw`](crate::adamw).
    fn adamw(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        clip: FloatTensor<Self>,
        counts: FloatTensor<Self>,
        step: AdamWStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Operations of the CPU alone.
#[cfg(feature = "flex")]
#[backend_extension(Flex)]
pub(crate) trait CachedKernels: Backend {
    /// See [`cached_attention`](crate::cached_attention), for one query of each sequence.
    fn single_queries(
        q: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        sequences: Vec<crate::CachedSequence>,
        window: Option<usize>,
        scores: AttentionScores,
    ) -> FloatTensor<Self>;
}

/// The gradients of [`Kernels`], each computed from the gradient `d` of the result.
pub(crate) trait Adjoints: Kernels {
    /// The gradient of the left operand of a product, `d weight`; also that of the update, `d b`.
    fn linear_backward(d: &FloatTensor<Self>, weight: &FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradient of the input of a product with a quantised weight, `d weight`.
    fn quantized_linear_backward(d: &FloatTensor<Self>, weight: &QuantizedTensor<Self>) -> FloatTensor<Self>;

    /// `d^T right`.
    fn outer(d: &FloatTensor<Self>, right: &FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradients of `x` and `a`, those that are `wanted`.
    fn adapter_input_backward(
        x: FloatTensor<Self>,
        a: FloatTensor<Self>,
        dropout: Option<Dropout>,
        d: FloatTensor<Self>,
        wanted: [bool; 2],
    ) -> [Option<FloatTensor<Self>>; 2];

    fn gate_scores_backward(scores: FloatTensor<Self>, d: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The gradients of the logits and the bias, from that of the margins.
    fn adaptive_margins_backward(
        scores: FloatTensor<Self>,
        tau_max: f32,
        d: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2];

    fn normalised_backward(
        scores: FloatTensor<Self>,
        selected: FloatTensor<Self>,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn weighted_sum_backward(weights: FloatTensor<Self>, d: FloatTensor<Self>) -> FloatTensor<Self>;

    fn weighted_experts_backward(
        hidden: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        scale: f32,
        d: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2];

    fn gated_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        curve: GateCurve,
        d: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2];

    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        eps: f32,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    fn rotated_heads_backward(
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// [`Kernels::tiled_attention`], and of each row the largest score and the inverse of the sum of exponentials.
    fn attention_with_norms(
        inputs: [FloatTensor<Self>; 3],
        visible: &Visibility,
        scores: AttentionScores,
    ) -> [FloatTensor<Self>; 2];

    /// The gradients of `q`, `k` and `v`, from what [`Adjoints::attention_with_norms`] takes and returns.
    fn attention_backward(
        inputs: [FloatTensor<Self>; 3],
        outputs: [FloatTensor<Self>; 2],
        visible: &Visibility,
        scores: AttentionScores,
        d: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];
}

/// Defines a node with N parents by its parameters, its state, and an expression for the parents' gradients. The expression
/// sees parameters, state, the gradient `d` of the result, and which parents need a gradient.
macro_rules! node {
    ($name:ident { $($field:ident: $type:ty),* }, $n:literal, $state:ty, |$this:pat_param, $kept:pat_param, $d:ident, $wanted:pat_param| $body:expr) => {
        #[derive(Debug)]
        struct $name {
            $($field: $type),*
        }

        impl<B: Adjoints> Backward<B, $n> for $name {
            type State = $state;

            fn backward(self, ops: Ops<Self::State, $n>, grads: &mut Gradients, _: &mut Checkpointer) {
                let $d = grads.consume::<B>(&ops.node);
                let $wanted = [0; $n].map({
                    let mut parents = ops.parents.iter();
                    move |_: i32| parents.next().is_some_and(Option::is_some)
                });
                let ($this, $kept) = (self, ops.state);
                let gradients: [Option<FloatTensor<B>>; $n] = $body;
                for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
                    if let (Some(parent), Some(gradient)) = (parent, gradient) {
                        grads.register::<B>(parent.id, gradient);
                    }
                }
            }
        }
    };
}

node!(LinearWithUpdate {}, 3, [FloatTensor<B>; 3], |_, [weight, mixed, b], d, [x, m, u]| [
    x.then(|| B::linear_backward(&d, &weight)),
    m.then(|| B::linear_backward(&d, &b)),
    u.then(|| B::outer(&d, &mixed)),
]);

node!(Linear {}, 1, FloatTensor<B>, |_, weight, d, _| [Some(B::linear_backward(&d, &weight))]);

node!(QuantizedLinear {}, 1, QuantizedTensor<B>, |_, weight, d, _| [Some(B::quantized_linear_backward(&d, &weight))]);

type QuantizedWithUpdate<B> = (QuantizedTensor<B>, [FloatTensor<B>; 2]);

node!(QuantizedLinearWithUpdate {}, 3, QuantizedWithUpdate<B>, |_, (weight, [mixed, b]), d, [x, m, u]| [
    x.then(|| B::quantized_linear_backward(&d, &weight)),
    m.then(|| B::linear_backward(&d, &b)),
    u.then(|| B::outer(&d, &mixed)),
]);

node!(AdapterInput { dropout: Option<Dropout> }, 2, [FloatTensor<B>; 2], |this, [x, a], d, wanted| {
    B::adapter_input_backward(x, a, this.dropout, d, wanted)
});

node!(GateScores {}, 1, FloatTensor<B>, |_, scores, d, _| [Some(B::gate_scores_backward(scores, d))]);

node!(AdaptiveMargins { tau_max: f32 }, 2, FloatTensor<B>, |this, scores, d, _| {
    B::adaptive_margins_backward(scores, this.tau_max, d).map(Some)
});

node!(Normalised {}, 1, [FloatTensor<B>; 2], |_, [scores, selected], d, _| {
    [Some(B::normalised_backward(scores, selected, d))]
});

node!(WeightedSum {}, 1, FloatTensor<B>, |_, weights, d, _| [Some(B::weighted_sum_backward(weights, d))]);

node!(WeightedExperts { scale: f32 }, 2, [FloatTensor<B>; 2], |this, [hidden, weights], d, _| {
    B::weighted_experts_backward(hidden, weights, this.scale, d).map(Some)
});

node!(Gated { curve: GateCurve }, 2, [FloatTensor<B>; 2], |this, [gate, up], d, _| {
    B::gated_backward(gate, up, this.curve, d).map(Some)
});

node!(RmsNorm { eps: f32 }, 1, [FloatTensor<B>; 2], |this, [x, weight], d, _| {
    [Some(B::rms_norm_backward(x, weight, this.eps, d))]
});

node!(RotatedHeads {}, 1, [FloatTensor<B>; 2], |_, [cos, sin], d, _| {
    [Some(B::rotated_heads_backward(cos, sin, d))]
});

type Attended<B> = ([FloatTensor<B>; 3], [FloatTensor<B>; 2]);

node!(Attention { visible: Visibility, scores: AttentionScores }, 3, Attended<B>, |this, (inputs, outputs), d, _| {
    B::attention_backward(inputs, outputs, &this.visible, this.scores, d).map(Some)
});

/// Runs `forward`. Where a parent is tracked, registers the node with the state that `keep` computes from the result.
macro_rules! run {
    ($node:expr, $parents:expr, $forward:expr, |$y:ident| $keep:expr) => {
        match $node.prepare::<C>($parents).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let $y = $forward;
                let state = $keep;
                prep.finish(state, $y)
            }
            OpsKind::UnTracked(prep) => prep.finish($forward),
        }
    };
}

impl<B: Adjoints, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn linear_with_update(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        mixed: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), mixed.node(), b.node()];
        let [x, weight, mixed, b] = [x, weight, mixed, b].map(|t| t.into_primitive());
        let [of_x, of_mixed, of_b] = nodes;
        run!(
            LinearWithUpdate {},
            [of_x, of_mixed, of_b],
            B::linear_with_update(x, weight.clone(), mixed.clone(), b.clone()),
            |y| [weight, mixed, b]
        )
    }

    fn frozen_linear(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let of_x = x.node();
        let [x, weight] = [x, weight].map(|t| t.into_primitive());
        run!(Linear {}, [of_x], B::frozen_linear(x, weight.clone()), |y| weight)
    }

    fn quantized_linear(x: FloatTensor<Self>, weight: QuantizedTensor<Self>) -> FloatTensor<Self> {
        let of_x = x.node();
        let x = x.into_primitive();
        run!(QuantizedLinear {}, [of_x], B::quantized_linear(x, weight.clone()), |y| weight)
    }

    fn quantized_linear_with_update(
        x: FloatTensor<Self>,
        weight: QuantizedTensor<Self>,
        mixed: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [of_x, of_mixed, of_b] = [x.node(), mixed.node(), b.node()];
        let [x, mixed, b] = [x, mixed, b].map(|t| t.into_primitive());
        run!(
            QuantizedLinearWithUpdate {},
            [of_x, of_mixed, of_b],
            B::quantized_linear_with_update(x, weight.clone(), mixed.clone(), b.clone()),
            |y| (weight, [mixed, b])
        )
    }

    fn adapter_input(x: FloatTensor<Self>, a: FloatTensor<Self>, dropout: Option<Dropout>) -> FloatTensor<Self> {
        let [of_x, of_a] = [x.node(), a.node()];
        let [x, a] = [x, a].map(|t| t.into_primitive());
        run!(AdapterInput { dropout }, [of_x, of_a], B::adapter_input(x.clone(), a.clone(), dropout), |y| [x, a])
    }

    fn gate_scores(logits: FloatTensor<Self>) -> FloatTensor<Self> {
        let of_logits = logits.node();
        run!(GateScores {}, [of_logits], B::gate_scores(logits.into_primitive()), |y| y.clone())
    }

    /// The gradient flows from the weights to the margins, as [`Kernels::normalised`] has it, and from there to the logits.
    fn adaptive_routing(
        logits: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        tau_max: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [logits.node(), bias.node()];
        let [logits, bias] = [logits, bias].map(|t| t.into_primitive());
        let (scores, margins, active, weights, thresholds) = B::adaptive_routing(logits, bias, tau_max);
        let kept = [margins.clone(), active.clone()];
        let margins = run!(AdaptiveMargins { tau_max }, nodes, margins, |y| scores.clone());
        let weights = run!(Normalised {}, [margins.node()], weights, |y| kept);
        let [scores, active, thresholds] = [scores, active, thresholds].map(Self::from_inner);
        (scores, margins, active, weights, thresholds)
    }

    fn normalised(scores: FloatTensor<Self>, selected: FloatTensor<Self>) -> FloatTensor<Self> {
        let of_scores = scores.node();
        let [scores, selected] = [scores, selected].map(|t| t.into_primitive());
        run!(Normalised {}, [of_scores], B::normalised(scores.clone(), selected.clone()), |y| [scores, selected])
    }

    fn weighted_sum(values: FloatTensor<Self>, weights: FloatTensor<Self>) -> FloatTensor<Self> {
        let of_values = values.node();
        let [values, weights] = [values, weights].map(|t| t.into_primitive());
        run!(WeightedSum {}, [of_values], B::weighted_sum(values, weights.clone()), |y| weights)
    }

    fn weighted_experts(hidden: FloatTensor<Self>, weights: FloatTensor<Self>, scale: f32) -> FloatTensor<Self> {
        let [of_hidden, of_weights] = [hidden.node(), weights.node()];
        let [hidden, weights] = [hidden, weights].map(|t| t.into_primitive());
        run!(
            WeightedExperts { scale },
            [of_hidden, of_weights],
            B::weighted_experts(hidden.clone(), weights.clone(), scale),
            |y| [hidden, weights]
        )
    }

    fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>, curve: GateCurve) -> FloatTensor<Self> {
        let [of_gate, of_up] = [gate.node(), up.node()];
        let [gate, up] = [gate, up].map(|t| t.into_primitive());
        run!(Gated { curve }, [of_gate, of_up], B::gated(gate.clone(), up.clone(), curve), |y| [gate, up])
    }

    fn rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, eps: f32) -> FloatTensor<Self> {
        let of_x = x.node();
        let [x, weight] = [x, weight].map(|t| t.into_primitive());
        run!(RmsNorm { eps }, [of_x], B::rms_norm(x.clone(), weight.clone(), eps), |y| [x, weight])
    }

    fn rotated_heads(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        let of_x = x.node();
        let [x, cos, sin] = [x, cos, sin].map(|t| t.into_primitive());
        run!(RotatedHeads {}, [of_x], B::rotated_heads(x, cos.clone(), sin.clone(), heads), |y| [cos, sin])
    }

    fn tiled_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        visible: Visibility,
        scores: AttentionScores,
    ) -> FloatTensor<Self> {
        let nodes = [q.node(), k.node(), v.node()];
        let inputs = [q, k, v].map(|t| t.into_primitive());
        match (Attention { visible: visible.clone(), scores }).prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let [y, norms] = B::attention_with_norms(inputs.clone(), &visible, scores);
                prep.finish((inputs, [y.clone(), norms]), y)
            }
            OpsKind::UnTracked(prep) => {
                let [q, k, v] = inputs;
                prep.finish(B::tiled_attention(q, k, v, visible, scores))
            }
        }
    }

    fn attention_again(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        mixed: FloatTensor<Self>,
        norms: FloatTensor<Self>,
        visible: Visibility,
        scores: AttentionScores,
    ) -> FloatTensor<Self> {
        let nodes = [q.node(), k.node(), v.node()];
        let [q, k, v, mixed, norms] = [q, k, v, mixed, norms].map(|t| t.into_primitive());
        run!(Attention { visible, scores }, nodes, mixed.clone(), |y| ([q, k, v], [y.clone(), norms]))
    }
}
