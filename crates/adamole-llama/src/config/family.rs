//! The model families: what each fixes in its code, and the defaults of what it leaves to `config.json`. Sources are the
//! configurations and models of transformers 5.

use super::Activation;

/// What the models of a family have in common. Everything else is in `config.json`.
pub(super) struct Family {
    /// `model_type` in `config.json`.
    pub(super) model_type: &'static str,
    /// Its class in transformers, in `architectures`.
    pub(super) architecture: &'static str,
    /// The constant that is added to the weights of norms.
    pub(super) norm_offset: f32,
    /// Whether the outputs of attention and feed-forward block are normalised too, before they are added.
    pub(super) output_norms: bool,
    /// Whether queries and keys are normalised, head by head.
    pub(super) head_norms: bool,
    /// Whether the embedding is multiplied by `sqrt(hidden_size)`.
    pub(super) scaled_embedding: bool,
    /// Whether q, k and v are one linear, and gate and up another.
    pub(super) fused_linears: bool,
    pub(super) qkv_bias: Bias,
    pub(super) o_bias: Bias,
    pub(super) mlp_bias: Bias,
    /// The fields that name the activation; the first that is given counts.
    pub(super) activation_fields: &'static [&'static str],
    /// The names of activations, the default first.
    pub(super) activations: &'static [(&'static str, Activation)],
    pub(super) windows: Windows,
    pub(super) rotations: Rotations,
    /// Whether scores are scaled by `query_pre_attn_scalar` in place of the width of a head.
    pub(super) score_scalar: bool,
    pub(super) score_cap: Cap,
    pub(super) logit_cap: Cap,
    /// The number of key and value heads if the field is absent; `None` for that of query heads.
    pub(super) kv_heads: Option<usize>,
    /// The width of a head if the field is absent; `None` for `hidden_size / num_attention_heads`.
    pub(super) head_dim: Option<usize>,
    pub(super) positions: usize,
    pub(super) norm_eps: f32,
    pub(super) theta: f32,
    pub(super) tied: bool,
}

/// When linears have biases.
#[derive(Clone, Copy)]
pub(super) enum Bias {
    Never,
    Always,
    /// Where this field is true.
    Field(&'static str),
}

/// Which layers attend to a window of positions only.
#[derive(Clone, Copy)]
pub(super) enum Windows {
    /// None.
    Never,
    /// All, where `sliding_window` is a number; with its default.
    Everywhere(Option<usize>),
    /// Where `use_sliding_window` is true: the layers of `layer_types`, by default those from `max_window_layers` on.
    FromLayer,
    /// The layers of `layer_types`, by default all but each so-manieth, which `sliding_window_pattern` can change.
    Alternating(usize),
    /// Where `use_sliding_window` is true: the layers of `layer_types`, by default those without rotation.
    Unrotated,
}

/// How layers rotate queries and keys.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Rotations {
    /// All heads in full and in all layers.
    Full,
    /// The share `partial_rotary_factor` of each head. Older files call `longrope` `su` or `yarn`.
    Partial,
    /// Layers with a window have `rope_local_base_freq`.
    ByWindow,
    /// Not in the layers where `no_rope_layers` is 0, by default each so-manieth, which `no_rope_layer_interval` can change.
    Some(usize),
}

/// When `cap tanh(x / cap)` bounds scores.
#[derive(Clone, Copy)]
pub(super) enum Cap {
    Never,
    /// Where the field is a number; with its default.
    Default(Option<f32>),
}

/// The activation of this name in transformers, as adapters have it; of all families the names mean the same but for Gemma's
/// `gelu`.
pub(crate) fn activation(name: &str) -> Option<Activation> {
    let named = |names: &[(&str, Activation)]| names.iter().find(|(own, _)| *own == name).map(|(_, own)| *own);
    named(SILU).or_else(|| named(GELU))
}

const SILU: &[(&str, Activation)] = &[("silu", Activation::Silu), ("swish", Activation::Silu)];
const GELU: &[(&str, Activation)] = &[("gelu_pytorch_tanh", Activation::GeluTanh), ("gelu", Activation::Gelu)];
/// The first files of Gemma 1 say `gelu` and mean the approximation.
const GELU_TANH: &[(&str, Activation)] = &[("gelu_pytorch_tanh", Activation::GeluTanh), ("gelu", Activation::GeluTanh)];

const LLAMA: Family = Family {
    model_type: "llama",
    architecture: "LlamaForCausalLM",
    norm_offset: 0.0,
    output_norms: false,
    head_norms: false,
    scaled_embedding: false,
    fused_linears: false,
    qkv_bias: Bias::Field("attention_bias"),
    o_bias: Bias::Field("attention_bias"),
    mlp_bias: Bias::Field("mlp_bias"),
    activation_fields: &["hidden_act"],
    activations: SILU,
    windows: Windows::Never,
    rotations: Rotations::Full,
    score_scalar: false,
    score_cap: Cap::Never,
    logit_cap: Cap::Never,
    kv_heads: None,
    head_dim: None,
    positions: 2048,
    norm_eps: 1e-6,
    theta: 10_000.0,
    tied: false,
};

const MISTRAL: Family = Family {
    model_type: "mistral",
    architecture: "MistralForCausalLM",
    qkv_bias: Bias::Never,
    o_bias: Bias::Never,
    mlp_bias: Bias::Never,
    windows: Windows::Everywhere(Some(4096)),
    kv_heads: Some(8),
    positions: 4096 * 32,
    ..LLAMA
};

const QWEN2: Family = Family {
    model_type: "qwen2",
    architecture: "Qwen2ForCausalLM",
    qkv_bias: Bias::Always,
    o_bias: Bias::Never,
    mlp_bias: Bias::Never,
    windows: Windows::FromLayer,
    kv_heads: Some(32),
    positions: 32_768,
    ..LLAMA
};

const QWEN3: Family = Family {
    model_type: "qwen3",
    architecture: "Qwen3ForCausalLM",
    head_norms: true,
    qkv_bias: Bias::Field("attention_bias"),
    o_bias: Bias::Field("attention_bias"),
    head_dim: Some(128),
    ..QWEN2
};

const GEMMA: Family = Family {
    model_type: "gemma",
    architecture: "GemmaForCausalLM",
    norm_offset: 1.0,
    scaled_embedding: true,
    activation_fields: &["hidden_activation", "hidden_act"],
    activations: GELU_TANH,
    mlp_bias: Bias::Never,
    kv_heads: Some(16),
    head_dim: Some(256),
    positions: 8192,
    tied: true,
    ..LLAMA
};

const GEMMA2: Family = Family {
    model_type: "gemma2",
    architecture: "Gemma2ForCausalLM",
    output_norms: true,
    activation_fields: &["hidden_activation"],
    activations: GELU,
    windows: Windows::Alternating(2),
    score_scalar: true,
    score_cap: Cap::Default(Some(50.0)),
    logit_cap: Cap::Default(Some(30.0)),
    kv_heads: Some(4),
    ..GEMMA
};

const GEMMA3: Family = Family {
    model_type: "gemma3_text",
    architecture: "Gemma3ForCausalLM",
    head_norms: true,
    windows: Windows::Alternating(6),
    rotations: Rotations::ByWindow,
    score_cap: Cap::Never,
    logit_cap: Cap::Default(None),
    positions: 131_072,
    theta: 1_000_000.0,
    ..GEMMA2
};

const PHI3: Family = Family {
    model_type: "phi3",
    architecture: "Phi3ForCausalLM",
    fused_linears: true,
    qkv_bias: Bias::Never,
    o_bias: Bias::Never,
    mlp_bias: Bias::Never,
    windows: Windows::Everywhere(None),
    rotations: Rotations::Partial,
    positions: 4096,
    norm_eps: 1e-5,
    ..LLAMA
};

const SMOLLM3: Family = Family {
    model_type: "smollm3",
    architecture: "SmolLM3ForCausalLM",
    windows: Windows::Unrotated,
    rotations: Rotations::Some(4),
    kv_heads: Some(4),
    positions: 32_768,
    theta: 2_000_000.0,
    tied: true,
    ..LLAMA
};

/// Every family.
pub(super) const FAMILIES: [&Family; 9] = [&LLAMA, &MISTRAL, &QWEN2, &QWEN3, &GEMMA, &GEMMA2, &GEMMA3, &PHI3, &SMOLLM3];

impl Family {
    /// The family of this `model_type`.
    pub(super) fn named(model_type: &str) -> Option<&'static Self> {
        FAMILIES.into_iter().find(|family| family.model_type == model_type)
    }

    /// The names of all families, for messages.
    pub(super) fn names() -> String {
        FAMILIES.map(|family| family.model_type).join(", ")
    }
}
