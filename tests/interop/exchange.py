"""Adapters saved here loaded by PEFT, adapters saved by PEFT loaded here, and merged models loaded by transformers.

The logits have to agree, which `adamole trace` writes for this side."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

from families import FAMILIES, random_model

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
LLAMA = ROOT / "datasets/base"
BASES = [LLAMA, ROOT / "tests/golden/bases_peft/gemma_s33", ROOT / "tests/golden/bases_peft/llama3_short_s32"]
TOLERANCE = 2e-4


def batch(vocabulary):
    """Three rows of different lengths, padded on the right."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, vocabulary, (3, 12), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    mask[2, 5:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def run(*arguments):
    result = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, f"{arguments}: {result.stderr}"
    return result.stdout


def ours(folder, model, adapter, inputs):
    save_file(inputs, folder / "batch.safetensors")
    adapter = ["--adapter", adapter] if adapter else []
    report = run("trace", "--model", model, *adapter, "--input", folder / "batch.safetensors",
                 "--output", folder / "trace.safetensors")
    json.loads(report)
    return load_file(folder / "trace.safetensors")["logits"]


def theirs(model, inputs):
    with torch.no_grad():
        return model.eval()(**inputs).logits.float()


def base(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager")


def compare(what, one, other, inputs, plain=None):
    tokens = inputs["attention_mask"].bool()
    difference = (one - other)[tokens].abs().max().item()
    effect = "" if plain is None else f", {(one - plain)[tokens].abs().max().item():.2f} from the base"
    print(f"{what}: logits differ by {difference:.1e}{effect}")
    assert difference < TOLERANCE, what
    assert plain is None or (one - plain)[tokens].abs().max() > 1e-2, f"{what}: the adapter does nothing"


def models(folder):
    """Models that transformers makes and saves, read here."""
    shape = {"vocab_size": 96, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
    llama3 = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
    for name, config, saving in [
        ("biases everywhere", transformers.LlamaConfig(**shape, attention_bias=True, mlp_bias=True), {}),
        ("heads of their own width", transformers.LlamaConfig(**shape, head_dim=12), {}),
        ("tied, in shards", transformers.LlamaConfig(**shape, tie_word_embeddings=True), {"max_shard_size": "20KB"}),
        ("llama3 rotary scaling", transformers.LlamaConfig(**shape, rope_parameters=llama3), {}),
        ("a bfloat16 file", transformers.LlamaConfig(**shape), {"dtype": torch.bfloat16}),
        ("a float16 file in shards", transformers.LlamaConfig(**shape),
         {"dtype": torch.float16, "max_shard_size": "20KB"}),
        ("Gemma, tanh", transformers.GemmaConfig(**shape, head_dim=12, hidden_activation="gelu_pytorch_tanh"), {}),
        ("Gemma, gelu, one key head", transformers.GemmaConfig(
            **{**shape, "num_key_value_heads": 1}, head_dim=16, hidden_act="gelu", hidden_activation="gelu"), {}),
    ]:
        model = random_model(config)
        dtype = saving.pop("dtype", torch.float32)
        output = folder / name.replace(" ", "-")
        model.to(dtype).save_pretrained(output, **saving)
        inputs = batch(config.vocab_size)
        compare(f"{name}: made by transformers", ours(folder, output, None, inputs), theirs(base(output), inputs), inputs)


def families(folder):
    """A model of each family: read here, with adapters of PEFT, merged, and with adapters trained here."""
    for name, (config, linears) in FAMILIES.items():
        folder_of_family = folder / "families" / name.replace(" ", "-")
        model = folder_of_family / "base"
        random_model(config).save_pretrained(model)
        for file in LLAMA.glob("tokenizer*.json"):
            shutil.copy(file, model)
        inputs = batch(config.vocab_size)
        plain = theirs(base(model), inputs)
        compare(f"{name}: made by transformers", ours(folder, model, None, inputs), plain, inputs)
        adapted_there(folder_of_family, name, model, linears, inputs, plain)
        adapted_here(folder_of_family, name, model, linears, inputs, plain)


def adapted_there(folder, name, model, linears, inputs, plain):
    for what, settings in {
        "all linears": {"target_modules": "all-linear"},
        "some linears": {"target_modules": linears[::3]},
        "other ranks": {
            "target_modules": linears, "rank_pattern": {linears[0]: 2}, "alpha_pattern": {f"layers.1.mlp.{linears[-2]}": 32}},
    }.items():
        torch.manual_seed(2)
        settings = {"r": 4, "lora_alpha": 8, "init_lora_weights": False, "task_type": "CAUSAL_LM", **settings}
        adapted = peft.get_peft_model(base(model), peft.LoraConfig(**settings))
        output = folder / what.replace(" ", "-")
        adapted.save_pretrained(output)
        expected = theirs(adapted, inputs)
        what = f"{name}, {what}"
        compare(f"{what}, saved by PEFT", ours(folder, model, output, inputs), expected, inputs, plain)
        merged = merge(model, output)
        compare(f"{what}, merged here", theirs(base(merged), inputs), expected, inputs, plain)
        compare_weights(f"{what}, merged", base(merged), adapted.merge_and_unload())


def adapted_here(folder, name, model, linears, inputs, plain):
    output = folder / "trained"
    train(model, output, "--targets", ",".join(linears), "--epochs", "1", "--limit-train", "32")
    adapted = peft.PeftModel.from_pretrained(base(model), output / "adapter")
    names = {module.rpartition(".")[2] for module, layer in adapted.named_modules() if hasattr(layer, "lora_A")}
    assert names == set(linears), f"{name}: PEFT adapts {names}"
    expected = theirs(adapted, inputs)
    compare(f"{name}, saved here, in PEFT", ours(folder, model, output, inputs), expected, inputs, plain)
    merged = theirs(base(merge(model, output)), inputs)
    compare(f"{name}, merged here, in transformers", merged, expected, inputs, plain)


def compare_weights(what, one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys(), f"{what}: {one.keys() ^ other.keys()}"
    difference = max((one[key] - other[key]).abs().max().item() for key in one)
    print(f"{what}: weights differ by {difference:.1e}")
    assert difference < 1e-5, what


def merge(model, adapter):
    output = adapter.with_name(f"{adapter.name}-merged")
    run("export", "--model", model, "--adapter", adapter, "--merge", "--output", output)
    return output


def train(model, output, *flags):
    run("train", "--model", model, "--data", ROOT / "datasets/copa", "--benchmark", "copa", "--method", "lora",
        "--learning-rate", "3e-3", "--warmup-steps", "1", "--limit-validation", "20", "--output", output, *flags)


def saved_here(folder):
    for name, flags in {
        "plain LoRA": [],
        "LoRA on all linears": ["--targets", "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"],
        "LoRA of other ranks by layer": ["--rank", "2,4,8,16"],
        "Chain of LoRA": ["--chain-links", "2"],
    }.items():
        output = folder / name.replace(" ", "-")
        train(LLAMA, output, "--epochs", "2", "--limit-train", "64", *flags)
        inputs = batch(base(LLAMA).config.vocab_size)
        plain = theirs(base(LLAMA), inputs)
        adapted = theirs(peft.PeftModel.from_pretrained(base(LLAMA), output / "adapter"), inputs)
        compare(f"{name}, saved here, in PEFT", ours(folder, LLAMA, output, inputs), adapted, inputs, plain)

        merged = merge(LLAMA, output)
        compare(f"{name}, merged here, in transformers", theirs(base(merged), inputs), adapted, inputs, plain)
        transformers.AutoTokenizer.from_pretrained(merged)


def saved_there(folder):
    for model in BASES:
        for name, settings in {
            "plain": {},
            "rslora": {"use_rslora": True},
            "rank_pattern and alpha_pattern": {
                "rank_pattern": {"layers.1.self_attn.v_proj": 2, "up_proj": 8},
                "alpha_pattern": {"q_proj": 32},
            },
            "some layers": {"layers_to_transform": [1]},
            "targets by expression": {"target_modules": r".*\.(q_proj|down_proj)"},
        }.items():
            settings = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj", "up_proj"],
                        "init_lora_weights": False, "task_type": "CAUSAL_LM", **settings}
            torch.manual_seed(2)
            adapted = peft.get_peft_model(base(model), peft.LoraConfig(**settings))
            output = folder / f"{model.name}-{name}".replace(" ", "-")
            adapted.save_pretrained(output)
            inputs = batch(adapted.config.vocab_size)
            plain = theirs(base(model), inputs)
            what = f"{name}, saved by PEFT on {model.name}"
            compare(what, ours(folder, model, output, inputs), theirs(adapted, inputs), inputs, plain)


if __name__ == "__main__":
    transformers.utils.logging.disable_progress_bar()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        models(pathlib.Path(folder))
        families(pathlib.Path(folder))
        saved_there(pathlib.Path(folder))
        saved_here(pathlib.Path(folder))
