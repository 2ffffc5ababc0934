"""Tiny models of every family, with what sets them apart made visible: short windows, few layers, odd widths.

The texts of `exchange.py` have twelve tokens, so that every window and every original length here is passed."""

import torch
import transformers

SHAPE = {"vocab_size": 1792, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SEPARATE = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FUSED = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]


def rope(kind, **settings):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10000.0, **settings}}


LONGROPE = rope("longrope", short_factor=[1.0, 1.1, 1.3], long_factor=[1.0, 2.5, 7.0], partial_rotary_factor=0.75,
                original_max_position_embeddings=8)
YARN = rope("yarn", factor=4.0, original_max_position_embeddings=32)
LLAMA3 = rope("llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)

# By name: the config and the linears that it has.
FAMILIES = {
    "Llama, linear": (transformers.LlamaConfig(**SHAPE, **rope("linear", factor=3.0), attention_bias=True), SEPARATE),
    "Llama, dynamic": (
        transformers.LlamaConfig(**{**SHAPE, "max_position_embeddings": 8}, **rope("dynamic", factor=2.0)), SEPARATE),
    "Llama, yarn": (transformers.LlamaConfig(**SHAPE, **YARN, mlp_bias=True), SEPARATE),
    "Llama, llama3": (transformers.LlamaConfig(**SHAPE, **LLAMA3, tie_word_embeddings=True), SEPARATE),
    "Mistral": (transformers.MistralConfig(**SHAPE, head_dim=12, sliding_window=5), SEPARATE),
    "Qwen2": (transformers.Qwen2Config(
        **SHAPE, use_sliding_window=True, sliding_window=5, max_window_layers=2, tie_word_embeddings=True), SEPARATE),
    "Qwen3": (transformers.Qwen3Config(**SHAPE, head_dim=12, attention_bias=True), SEPARATE),
    "Gemma": (transformers.GemmaConfig(**SHAPE, head_dim=12), SEPARATE),
    "Gemma 2": (transformers.Gemma2Config(
        **SHAPE, head_dim=12, query_pre_attn_scalar=20, sliding_window=5, attn_logit_softcapping=20.0,
        final_logit_softcapping=10.0), SEPARATE),
    "Gemma 3": (transformers.Gemma3TextConfig(
        **SHAPE, head_dim=12, query_pre_attn_scalar=20, sliding_window=5, sliding_window_pattern=2), SEPARATE),
    "Phi-3": (transformers.Phi3Config(**SHAPE, sliding_window=5), FUSED),
    "Phi-3, longrope": (transformers.Phi3Config(
        **SHAPE, **LONGROPE, original_max_position_embeddings=8, tie_word_embeddings=True), FUSED),
    "SmolLM3": (transformers.SmolLM3Config(**SHAPE, no_rope_layer_interval=2), SEPARATE),
}


def random_model(config, seed=3):
    """Every parameter from a normal distribution, norms and biases too."""
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.float()
