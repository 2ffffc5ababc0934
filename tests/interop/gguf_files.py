"""Compares GGUF files that `adamole export --gguf` writes, computed by llama.cpp, with `adamole trace` and `adamole generate`.

    python gguf_files.py PROGRAM MODEL [ADAPTER] [--tokenizer FOLDER]...

It needs llama-cpp-python, numpy and safetensors, and is run by hand. MODEL is a Hugging Face folder, ADAPTER a plain LoRA
on it, which is checked merged and as a file of its own. Printed are the largest difference of logits over a text and
whether 32 greedy tokens are the same; the ids of texts have to be those of `adamole trace`'s tokenizer, also for
tokenizers of other folders, which are put on a random model of their own."""

import argparse
import json
import pathlib
import subprocess
import tempfile

import llama_cpp
import numpy as np
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

PROMPT = "Once upon a time, there was a little girl named Lily. She"
TOKENS = 32
# By type: the largest difference of logits as a share of the largest logit.
TOLERANCE = {"f32": 2e-3, "f16": 2e-2, "bf16": 1e-1, "q8_0": 2e-1}
TEXTS = [
    PROMPT, "Hello, world!", " leading and  double   spaces    here", "tabs\tand\nlines\n\n\nend ", "it's 'D you'll 12345 3.14",
    "Übergrößen naïve café", "Привет, мир! 你好,世界。 こんにちは", "👩‍👩‍👧‍👦 🇩🇪 ≠ ²½", "def f(x):\n    return x  # twice\n", "\x00\x7f\u00a0\u200b", "",
    "a" * 40 + " " * 17 + "!" * 9, "I'M YOU'RE we'Ve", "1 22 333 4444 55555",
]


def run(program, *arguments):
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert result.returncode == 0, f"{arguments}: {result.stderr}"
    return result.stdout


def opened(file, **settings):
    return llama_cpp.Llama(str(file), n_ctx=256, n_gpu_layers=0, logits_all=True, verbose=False, **settings)


def ids_there(llama, text):
    return llama.tokenize(text.encode(), add_bos=llama._model.add_bos_token(), special=False)


def logits_there(llama, ids):
    llama.reset()
    llama.eval(ids)
    return np.array(llama.scores[:len(ids)])


def greedy(llama, ids):
    llama.reset()
    found = []
    tokens = list(ids)
    while len(found) < TOKENS:
        llama.eval(tokens)
        token = int(np.argmax(llama.scores[llama.n_tokens - 1]))
        if token == llama.token_eos():
            break
        found.append(token)
        tokens = [token]
    return found


def check_ids(what, llama, tokenizer):
    different = [text for text in TEXTS if ids_there(llama, text) != tokenizer.encode(text).ids]
    for text in different:
        there, here = ids_there(llama, text), tokenizer.encode(text).ids
        print(f"  {text[:40]!r}: there {there[:24]}, here {here[:24]}")
    print(f"{what}: ids of {len(TEXTS) - len(different)} of {len(TEXTS)} texts are the same")
    return not different


class Ours:
    """What the program computes."""

    def __init__(self, program, model, adapter, folder, ids):
        adapter = ["--adapter", adapter] if adapter else []
        save_file({"input_ids": np.array([ids], dtype=np.int64)}, folder / "batch.safetensors")
        run(program, "trace", "--model", model, *adapter, "--input", folder / "batch.safetensors",
            "--output", folder / "trace.safetensors")
        self.logits = load_file(folder / "trace.safetensors")["logits"][0]
        self.text = json.loads(run(program, "generate", "--model", model, *adapter, "--prompt", PROMPT,
                                   "--max-new-tokens", TOKENS, "--format", "json"))


def check(what, llama, ours, tokenizer, ids, kind):
    difference = np.abs(logits_there(llama, ids) - ours.logits).max()
    share = difference / np.abs(ours.logits).max()
    tokens = greedy(llama, ids)
    text, here = tokenizer.decode(tokens), ours.text["text"]
    same = text == here
    print(f"{what}: logits of {len(ids)} positions differ by {difference:.2e} ({share:.1e} of the largest), "
          f"{len(tokens)} greedy tokens {'are the same' if same else 'differ'}")
    if not same:
        print(f"  there {text!r}\n  here  {here!r}")
    assert share < TOLERANCE[kind], what
    return same


def model_checks(program, model, adapter, folder):
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    ids = tokenizer.encode(PROMPT).ids
    bases = {}
    for kind in ["f32", "f16", "bf16", "q8_0"]:
        bases[kind] = folder / f"base-{kind}.gguf"
        run(program, "export", "--model", model, "--gguf", bases[kind], "--gguf-type", kind)
    ours = Ours(program, model, None, folder, ids)
    llama = opened(bases["f32"])
    assert check_ids(model.name, llama, tokenizer)
    exact = [check(f"{model.name}, base in f32", llama, ours, tokenizer, ids, "f32")]
    for kind in ["f16", "bf16", "q8_0"]:
        check(f"{model.name}, base in {kind}", opened(bases[kind]), ours, tokenizer, ids, kind)
    if adapter:
        ours = Ours(program, model, adapter, folder, ids)
        for kind in ["f32", "f16", "q8_0"]:
            file = folder / f"merged-{kind}.gguf"
            run(program, "export", "--model", model, "--adapter", adapter, "--merge", "--gguf", file, "--gguf-type", kind)
            same = check(f"{model.name}, merged in {kind}", opened(file), ours, tokenizer, ids, kind)
            exact += [same] * (kind == "f32")
        for kind in ["f32", "f16"]:
            file = folder / f"adapter-{kind}.gguf"
            run(program, "export", "--model", model, "--adapter", adapter, "--gguf", file, "--gguf-type", kind)
            llama = opened(bases["f32"], lora_path=str(file))
            same = check(f"{model.name}, base in f32 and adapter in {kind}", llama, ours, tokenizer, ids, kind)
            exact += [same] * (kind == "f32")
    assert all(exact), "greedy tokens differ in f32"


def random_model(folder, output, **more):
    """A tiny Llama with random weights and the tokenizer of `folder`."""
    output.mkdir()
    for file in folder.glob("tokenizer*.json"):
        (output / file.name).write_bytes(file.read_bytes())
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 64,
              "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
              "vocab_size": tokenizer.get_vocab_size(), "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
              "rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "float32", **more}
    heads = config.get("head_dim", 16)
    rows = {"q_proj": (4 * heads, 64), "k_proj": (2 * heads, 64), "v_proj": (2 * heads, 64), "o_proj": (64, 4 * heads),
            "gate_proj": (96, 64), "up_proj": (96, 64), "down_proj": (64, 96)}
    generator = np.random.default_rng(3)
    draw = lambda *shape: generator.normal(0, 0.3, shape).astype(np.float32)
    tensors = {name: draw(config["vocab_size"], 64) for name in ["model.embed_tokens.weight", "lm_head.weight"]}
    tensors["model.norm.weight"] = draw(64)
    for layer in range(2):
        for name, shape in rows.items():
            part = "self_attn" if name[0] in "qkvo" else "mlp"
            part = "mlp" if name in ("up_proj", "gate_proj", "down_proj") else part
            tensors[f"model.layers.{layer}.{part}.{name}.weight"] = draw(*shape)
            if config.get("attention_bias" if part == "self_attn" else "mlp_bias"):
                tensors[f"model.layers.{layer}.{part}.{name}.bias"] = draw(shape[0])
        for norm in ["input_layernorm", "post_attention_layernorm"]:
            tensors[f"model.layers.{layer}.{norm}.weight"] = draw(64)
    save_file(tensors, output / "model.safetensors")
    (output / "config.json").write_text(json.dumps(config))
    return output


def random_checks(program, tokenizer_folder, folder):
    """What real models at hand do not have: biases, heads of their own width, scaled rotations."""
    llama3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 16}
    for name, more in {
        "random": {},
        "heads of their own width": {"head_dim": 32},
        "biases": {"attention_bias": True, "mlp_bias": True},
        "linear scaling": {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        "llama3 scaling": {"rope_scaling": llama3},
        "Mistral": {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "sliding_window": None},
    }.items():
        model = random_model(tokenizer_folder, folder / name.replace(" ", "-"), **more)
        tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        ids = tokenizer.encode(PROMPT + PROMPT).ids
        file = model / "model.gguf"
        run(program, "export", "--model", model, "--gguf", file, "--gguf-type", "f32")
        save_file({"input_ids": np.array([ids], dtype=np.int64)}, folder / "batch.safetensors")
        run(program, "trace", "--model", model, "--input", folder / "batch.safetensors",
            "--output", folder / "trace.safetensors")
        ours = load_file(folder / "trace.safetensors")["logits"][0]
        share = np.abs(logits_there(opened(file), ids) - ours).max() / np.abs(ours).max()
        print(f"{name}: logits differ by {share:.1e} of the largest")
        assert share < TOLERANCE["f32"], name


def tokenizer_checks(program, source, folder):
    model = random_model(source, folder / f"tokenizer-{source.name}")
    file = model / "model.gguf"
    run(program, "export", "--model", model, "--gguf", file, "--gguf-type", "f16")
    return check_ids(f"tokenizer {source.name}", opened(file), Tokenizer.from_file(str(source / "tokenizer.json")))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("adapter", type=pathlib.Path, nargs="?")
    parser.add_argument("--tokenizer", type=pathlib.Path, action="append", default=[])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        random_checks(chosen.program.resolve(), chosen.model, temporary)
        same = [tokenizer_checks(chosen.program.resolve(), source, temporary) for source in chosen.tokenizer]
        model_checks(chosen.program.resolve(), chosen.model, chosen.adapter, temporary)
        assert all(same), "ids of texts differ"
