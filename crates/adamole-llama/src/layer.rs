//! A layer of the decoder: attention and the gated feed-forward block, each behind a norm.

use crate::{
    Activation, ModelConfig, TARGETS,
    attention::{Attention, LayerCache},
    model::TensorSource,
    precision::{narrowed, widened},
    token_batch::Sequences,
};
use adamole_core::{AdaptedLinear, ForwardContext};
use adamole_kernels::{composed, geglu, rms_norm, swiglu};
use burn::{
    module::{Module, Param, ParamId},
    tensor::{Tensor, activation::gelu},
};

#[derive(Module, Debug)]
pub(crate) struct DecoderLayer {
    pub(crate) input_layernorm: RmsNorm,
    pub(crate) self_attn: Attention,
    pub(crate) post_attention_layernorm: RmsNorm,
    pub(crate) mlp: Mlp,
}

impl DecoderLayer {
    /// Layer `i` of a model, frozen.
    pub(crate) fn build(i: usize, config: &ModelConfig, source: &mut impl TensorSource) -> Self {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let q_width = config.num_attention_heads * config.head_dim;
        let kv_width = config.num_key_value_heads * config.head_dim;
        let prefix = format!("model.layers.{i}");
        let mut linear = |name: &str, d_out: usize, d_in: usize, bias: bool| {
            let weight = source.linear(&format!("{prefix}.{name}.weight"), [d_out, d_in]);
            let bias = bias.then(|| source.tensor(&format!("{prefix}.{name}.bias"), [d_out]));
            AdaptedLinear::frozen(weight, bias)
        };
        let self_attn = Attention {
            q_proj: linear("self_attn.q_proj", q_width, hidden, config.attention_bias),
            k_proj: linear("self_attn.k_proj", kv_width, hidden, config.attention_bias),
            v_proj: linear("self_attn.v_proj", kv_width, hidden, config.attention_bias),
            o_proj: linear("self_attn.o_proj", hidden, q_width, config.attention_bias),
            num_heads: config.num_attention_heads,
            num_kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
        };
        let mlp = Mlp {
            gate_proj: linear("mlp.gate_proj", inner, hidden, config.mlp_bias),
            up_proj: linear("mlp.up_proj", inner, hidden, config.mlp_bias),
            down_proj: linear("mlp.down_proj", hidden, inner, config.mlp_bias),
            activation: config.activation,
        };
        let mut norm = |name: &str| RmsNorm::build(&format!("{prefix}.{name}"), config, source);
        Self {
            input_layernorm: norm("input_layernorm"),
            post_attention_layernorm: norm("post_attention_layernorm"),
            self_attn,
            mlp,
        }
    }

    /// The linears by their names, in the order of the forward pass.
    pub(crate) fn linears(&self) -> impl Iterator<Item = (&'static str, &AdaptedLinear)> {
        let Attention { q_proj, k_proj, v_proj, o_proj, .. } = &self.self_attn;
        let Mlp { gate_proj, up_proj, down_proj, .. } = &self.mlp;
        TARGETS.into_iter().zip([q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj])
    }

    /// [`DecoderLayer::linears`], to change them.
    pub(crate) fn linears_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut AdaptedLinear)> {
        let Attention { q_proj, k_proj, v_proj, o_proj, .. } = &mut self.self_attn;
        let Mlp { gate_proj, up_proj, down_proj, .. } = &mut self.mlp;
        TARGETS.into_iter().zip([q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj])
    }

    /// `[B L, hidden]` to `[B L, hidden]`.
    pub(crate) fn forward(
        &self,
        x: Tensor<2>,
        sequences: &Sequences,
        cache: Option<&mut Option<LayerCache>>,
        context: &mut ForwardContext,
    ) -> Tensor<2> {
        let x = self.attend(x, sequences, cache, context);
        x.clone() + self.mlp.forward(self.post_attention_layernorm.forward(x), context)
    }

    /// The first half of the layer.
    pub(crate) fn attend(
        &self,
        x: Tensor<2>,
        sequences: &Sequences,
        cache: Option<&mut Option<LayerCache>>,
        context: &mut ForwardContext,
    ) -> Tensor<2> {
        x.clone() + self.self_attn.forward(self.input_layernorm.forward(x), sequences, cache, context)
    }
}

/// The gated feed-forward block (Shazeer 2020).
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) gate_proj: AdaptedLinear,
    pub(crate) up_proj: AdaptedLinear,
    pub(crate) down_proj: AdaptedLinear,
    #[module(skip)]
    pub(crate) activation: Activation,
}

impl Mlp {
    /// `[T, hidden]` to `[T, hidden]`.
    pub(crate) fn forward(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        self.down_proj.forward(self.gated(x, context), context)
    }

    /// What the last product takes: `[T, hidden]` to `[T, intermediate]`.
    pub(crate) fn gated(&self, x: Tensor<2>, context: &mut ForwardContext) -> Tensor<2> {
        let gate = self.gate_proj.forward(x.clone(), context);
        let up = self.up_proj.forward(x, context);
        match self.activation {
            Activation::Silu => swiglu(gate, up),
            Activation::Gelu => gelu(gate) * up,
            Activation::GeluTanh => geglu(gate, up),
        }
    }
}

/// Root-mean-square normalisation (Zhang & Sennrich 2019):
/// `x / sqrt(mean(x^2) + eps) * (offset + weight)`, over the last dimension; the offset is 0, and 1 for Gemma.
#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    /// `[hidden]`.
    pub(crate) weight: Param<Tensor<1>>,
    #[module(skip)]
    pub(crate) eps: f32,
    #[module(skip)]
    pub(crate) offset: f32,
}

impl RmsNorm {
    /// The norm of this name, frozen.
    pub(crate) fn build(name: &str, config: &ModelConfig, source: &mut impl TensorSource) -> Self {
        let weight = frozen(source.tensor(&format!("{name}.weight"), [config.hidden_size]));
        Self { weight, eps: config.rms_norm_eps, offset: config.norm_offset() }
    }

    /// `[T, hidden]` to `[T, hidden]`.
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let dtype = x.dtype();
        let weight = match self.offset {
            0.0 => widened(self.weight.val()),
            offset => widened(self.weight.val()) + offset,
        };
        // A fused norm takes its weight for a constant, which it is not in pretraining.
        let norm = if self.weight.val().is_require_grad() { composed::rms_norm } else { rms_norm };
        narrowed(norm(widened(x), weight, self.eps), dtype)
    }
}

/// A parameter that is not trained.
pub(crate) fn frozen<const D: usize>(value: Tensor<D>) -> Param<Tensor<D>> {
    Param::initialized(ParamId::new(), value).set_require_grad(false)
}
