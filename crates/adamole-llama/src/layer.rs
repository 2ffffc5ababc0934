//! A layer of the decoder: attention and the gated feed-forward block, each behind a norm.

use crate::{
    Activation, LinearShapes, ModelConfig, TARGETS,
    attention::{Attention, Memory},
    layout::linear_name,
    model::TensorSource,
    precision::widened,
    token_batch::Sequences,
};
use adamole_core::{AdaptedLinear, ForwardContext, RoutedBlock};
use adamole_kernels::{composed, geglu, rms_norm, swiglu};
use burn::{
    module::{Module, Param, ParamId},
    tensor::{Tensor, activation::gelu},
};

#[derive(Module, Debug)]
pub(crate) struct DecoderLayer {
    pub(crate) input_layernorm: RmsNorm,
    pub(crate) self_attn: Attention,
    /// Before the feed-forward block; of the attention's output where outputs are normalised.
    pub(crate) post_attention_layernorm: RmsNorm,
    pub(crate) pre_feedforward_layernorm: Option<RmsNorm>,
    pub(crate) post_feedforward_layernorm: Option<RmsNorm>,
    pub(crate) mlp: Mlp,
}

impl DecoderLayer {
    /// Layer `i` of a model, frozen.
    pub(crate) fn build(i: usize, config: &ModelConfig, source: &mut impl TensorSource) -> Self {
        let (shapes, biases, fused) = (LinearShapes::of(config), config.biases, config.fused_linears);
        let mut linear = |target: &str, bias: bool| {
            let (name, shape) = (linear_name(i, target), shapes.of_target(target));
            let weight = source.linear(&format!("{name}.weight"), shape);
            let bias = bias.then(|| source.tensor(&format!("{name}.bias"), [shape[0]]));
            AdaptedLinear::frozen(weight, bias)
        };
        let mut one_of_several = |target: &str, bias: bool, fused: bool| fused.then(|| linear(target, bias));
        let inputs = [
            one_of_several("q_proj", biases.qkv, !fused),
            one_of_several("k_proj", biases.qkv, !fused),
            one_of_several("v_proj", biases.qkv, !fused),
            one_of_several("qkv_proj", biases.qkv, fused),
        ];
        let o_proj = linear("o_proj", biases.o);
        let mut one_of_several = |target: &str, bias: bool, fused: bool| fused.then(|| linear(target, bias));
        let mlp = Mlp {
            gate_proj: one_of_several("gate_proj", biases.mlp, !fused),
            up_proj: one_of_several("up_proj", biases.mlp, !fused),
            gate_up_proj: one_of_several("gate_up_proj", biases.mlp, fused),
            down_proj: linear("down_proj", biases.mlp),
            activation: config.activation,
        };
        let mut norm =
            |name: &str| RmsNorm::build(&format!("model.layers.{i}.{name}"), config.hidden_size, config, source);
        let input_layernorm = norm("input_layernorm");
        let post_attention_layernorm = norm("post_attention_layernorm");
        let mut of_outputs = |name: &str| config.norms.of_outputs.then(|| norm(name));
        Self {
            input_layernorm,
            post_attention_layernorm,
            pre_feedforward_layernorm: of_outputs("pre_feedforward_layernorm"),
            post_feedforward_layernorm: of_outputs("post_feedforward_layernorm"),
            self_attn: Attention::build(i, config, source, inputs, o_proj),
            mlp,
        }
    }

    /// The linears by their names, in the order of the forward pass.
    pub(crate) fn linears(&self) -> impl Iterator<Item = (&'static str, &AdaptedLinear)> {
        let Attention { q_proj, k_proj, v_proj, qkv_proj, o_proj, .. } = &self.self_attn;
        let Mlp { gate_proj, up_proj, gate_up_proj, down_proj, .. } = &self.mlp;
        let [q, k, v, qkv, gate, up, gate_up] =
            [q_proj, k_proj, v_proj, qkv_proj, gate_proj, up_proj, gate_up_proj].map(Option::as_ref);
        let all = [q, k, v, qkv, Some(o_proj), gate, up, gate_up, Some(down_proj)];
        TARGETS.into_iter().zip(all).filter_map(|(target, linear)| Some((target, linear?)))
    }

    /// [`DecoderLayer::linears`], to change them.
    pub(crate) fn linears_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut AdaptedLinear)> {
        let Attention { q_proj, k_proj, v_proj, qkv_proj, o_proj, .. } = &mut self.self_attn;
        let Mlp { gate_proj, up_proj, gate_up_proj, down_proj, .. } = &mut self.mlp;
        let [q, k, v, qkv, gate, up, gate_up] =
            [q_proj, k_proj, v_proj, qkv_proj, gate_proj, up_proj, gate_up_proj].map(Option::as_mut);
        let all = [q, k, v, qkv, Some(o_proj), gate, up, gate_up, Some(down_proj)];
        TARGETS.into_iter().zip(all).filter_map(|(target, linear)| Some((target, linear?)))
    }

    /// `[B L, hidden]` to `[B L, hidden]`.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        sequences: &Sequences,
        memory: Memory<'_>,
        context: &mut ForwardContext,
    ) -> Tensor<2> {
        let x = self.attend(x, sequences, memory, context);
        let y = self.mlp.forward(self.feed_forward_norm().forward(x.clone()), context);
        match &self.post_feedforward_layernorm {
            Some(norm) => x + norm.forward(y),
            None => x + y,
        }
    }

    /// The first half of the layer.
    pub(crate) fn attend(
        &self,
        x: Tensor<2>,
        sequences: &Sequences,
        memory: Memory<'_>,
        context: &mut ForwardContext,
    ) -> Tensor<2> {
        let y = self.self_attn.forward(self.input_layernorm.forward(x.clone()), sequences, memory, context);
        match &self.pre_feedforward_layernorm {
            Some(_) => x + self.post_attention_layernorm.forward(y),
            None => x + y,
        }
    }

    /// The norm before the feed-forward block.
    pub(crate) fn feed_forward_norm(&self) -> &RmsNorm {
        self.pre_feedforward_layernorm.as_ref().unwrap_or(&self.post_attention_layernorm)
    }
}

/// The gated feed-forward block (Shazeer 2020).
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) gate_proj: Option<AdaptedLinear>,
    pub(crate) up_proj: Option<AdaptedLinear>,
    /// Both in one, in place of the two.
    pub(crate) gate_up_proj: Option<AdaptedLinear>,
    pub(crate) down_proj: AdaptedLinear,
    #[module(skip)]
    pub(crate) activation: Activation,
}

impl Mlp {
    /// `[T, hidden]` to `[T, hidden]`.
    pub(crate) fn forward(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        let activated = |gate, up| self.activated(gate, up);
        let ordinary = |x, context: &mut ForwardContext| self.down_proj.forward(self.gated(x, context), context);
        match (self.routed(), &self.gate_proj, &self.up_proj) {
            (Some(block), ..) => block.forward(x, activated, context),
            (None, Some(gate), Some(up)) => {
                RoutedBlock::of_groups([gate, up, &self.down_proj], x, activated, ordinary, context)
            }
            _ => ordinary(x, context),
        }
    }

    /// What the last product takes: `[T, hidden]` to `[T, intermediate]`.
    pub(crate) fn gated(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        if let Some(block) = self.routed() {
            return block.gated(x, |gate, up| self.activated(gate, up), context);
        }
        let linears = [&self.gate_proj, &self.up_proj, &self.gate_up_proj].into_iter().flatten();
        let parts: Vec<Tensor<2>> = linears.map(|linear| linear.forward(x.clone(), context)).collect();
        let [gate, up] = <[Tensor<2>; 2]>::try_from(parts).unwrap_or_else(|fused| {
            let fused = Tensor::cat(fused, 1);
            let width = fused.dims()[1] / 2;
            [0, width].map(|start| fused.clone().narrow(1, start, width))
        });
        self.activated(gate, up)
    }

    /// The block with one router for all of it, if it has one.
    fn routed(&self) -> Option<RoutedBlock<'_>> {
        RoutedBlock::of(self.gate_proj.as_ref()?, self.up_proj.as_ref()?, &self.down_proj)
    }

    fn activated(&self, gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
        match self.activation {
            Activation::Silu => swiglu(gate, up),
            Activation::Gelu => gelu(gate) * up,
            Activation::GeluTanh => geglu(gate, up),
        }
    }
}

/// Root-mean-square normalisation (Zhang & Sennrich 2019):
/// `x / sqrt(mean(x^2) + eps) * (offset + weight)`, over the last dimension.
#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    /// `[d]`.
    pub(crate) weight: Param<Tensor<1>>,
    #[module(skip)]
    pub(crate) eps: f32,
    #[module(skip)]
    pub(crate) offset: f32,
}

impl RmsNorm {
    /// The norm of this name and width, frozen.
    pub(crate) fn build(name: &str, width: usize, config: &ModelConfig, source: &mut impl TensorSource) -> Self {
        let weight = frozen(source.tensor(&format!("{name}.weight"), [width]));
        Self { weight, eps: config.norms.eps, offset: config.norms.offset }
    }

    /// `[T, d]` to `[T, d]`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let weight = match self.offset {
            0.0 => self.weight.val(),
            offset => widened(self.weight.val()) + offset,
        };
        // A fused norm takes its weight for a constant, which it is not in pretraining.
        let norm = if self.weight.val().is_require_grad() { composed::rms_norm } else { rms_norm };
        norm(x, weight, self.eps)
    }
}

/// A parameter that is not trained.
pub(crate) fn frozen<const D: usize>(value: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), value).set_require_grad(false)
}
