"""Compares adapters that `adamole_adapter.py` loads in transformers with the golden numbers and with `adamole trace`.

    python python_loader.py PROGRAM

It needs torch, transformers and safetensors. Logits have to agree within 1e-5 of the largest one, for every method; an
adapter that was saved by the loader has to be the one that was loaded; and one step of training has to change it."""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

PROGRAM = pathlib.Path(sys.argv[1]).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden"
sys.path.insert(0, str(ROOT / "crates/adamole/src/cli/export"))
import adamole_adapter  # noqa: E402

TOLERANCE = 1e-5
# Methods and settings without golden numbers on a whole model: their fields in adapter_config.json.
OTHERS = {
    "mole, top-p": {"peft_type": "MOLE", "top_p": 0.4, "num_experts": 4},
    "sira": {"peft_type": "SIRA", "num_experts": 4, "top_k": 2, "capacity_factor": 1.0, "gate_dropout": 0.1,
             "renormalise": False},
    "sira without a limit, renormalised": {
        "peft_type": "SIRA", "num_experts": 4, "top_k": 2, "capacity_factor": None, "gate_dropout": 0.0,
        "renormalise": True},
    "adamole, other numbers of experts by linear": {
        "peft_type": "ADAMOLE", "num_experts": 4, "num_experts_pattern": {"layers.1.self_attn.v_proj": 2},
        "max_threshold": None, "rank_pattern": {"layers.0.self_attn.q_proj": 2},
        "alpha_pattern": {"layers.1.self_attn.q_proj": 32}},
    "lora, rank-stabilised": {"peft_type": "LORA", "use_rslora": True},
    "hydralora": {"peft_type": "HYDRALORA", "num_experts": 3},
    "ldmole": {"peft_type": "LDMOLE", "num_experts": 4, "sparsity_hidden": 6, "sparsity_loss": 0.0},
    "ldmole, one expert": {"peft_type": "LDMOLE", "num_experts": 1, "sparsity_hidden": 6, "sparsity_loss": 0.0},
    "dynmole": {"peft_type": "DYNMOLE", "num_experts": 5, "top_p": 0.75, "keep_top_k": 2, "entropy_threshold": 0.9,
                "entropy_type": "tsallis", "entropy_index": 1.1, "entropy_loss": 10.0},
    "dynmole, Renyi": {"peft_type": "DYNMOLE", "num_experts": 5, "top_p": 0.6, "keep_top_k": 1, "entropy_threshold": 0.8,
                       "entropy_type": "renyi", "entropy_index": 2.0, "entropy_loss": 0.0},
    "dynmole, Shannon": {"peft_type": "DYNMOLE", "num_experts": 5, "top_p": 0.6, "keep_top_k": 1, "entropy_threshold": 0.8,
                         "entropy_type": "tsallis", "entropy_index": 1.0, "entropy_loss": 0.0},
    "remole": {"peft_type": "REMOLE", "num_experts": 4, "top_k": 1, "coefficient_factor": 1.2},
    "comol": {"peft_type": "COMOL", "num_experts": 4, "core_router": True},
    "comol, gate on the input": {"peft_type": "COMOL", "num_experts": 4, "core_router": False},
    "flylora": {"peft_type": "FLYLORA", "top_k": 2, "bias_rate": 0.001, "variant": "peft"},
    "flylora, minimal": {"peft_type": "FLYLORA", "top_k": 2, "bias_rate": 0.001, "variant": "minimal"},
    "goat": {"peft_type": "GOAT", "num_experts": 3, "top_k": 2, "init_type": "goat"},
    "mixlora": {"peft_type": "MIXLORA", "num_experts": 3, "top_k": 2,
                "target_modules": ["q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"]},
    "mixlora, a part of the block": {"peft_type": "MIXLORA", "num_experts": 3, "top_k": 2, "target_modules": ["down_proj"]},
    "goat, scale by eta": {"peft_type": "GOAT", "num_experts": 3, "top_k": 2, "init_type": "goat_mini", "eta": 0.1},
}


def base(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


def run(*arguments):
    result = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, f"{arguments}: {result.stderr}"


def compare(what, ours, theirs, inputs):
    tokens = inputs["attention_mask"].bool()
    difference = ((ours - theirs)[tokens].abs().max() / theirs[tokens].abs().max()).item()
    print(f"{what}: logits differ by {difference:.1e} of the largest")
    assert difference < TOLERANCE, what


def logits(model, inputs):
    with torch.no_grad():
        return model.eval()(**inputs).logits


def golden():
    for case in sorted(GOLDEN.glob("llama*__*")):
        description = json.loads((case / "case.json").read_text())
        model = adamole_adapter.load(base(case / description["base"]), case)
        tensors = load_file(case / "tensors.safetensors")
        inputs = {name: tensors[name] for name in ("input_ids", "attention_mask")}
        inputs["position_ids"] = (inputs["attention_mask"].cumsum(1) - 1).clamp(min=0)
        compare(f"{case.name}, golden", logits(model, inputs), tensors["logits"], inputs)


def random_adapter(model, fields, folder):
    """Writes an adapter with random values, of the shapes that the loader expects."""
    config = {"lora_rank": 4, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": ["q_proj", "v_proj"], **fields}
    if fields["peft_type"] == "LORA":
        config["r"] = config.pop("lora_rank")
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(5)
    adapted, _ = adamole_adapter.adapted_linears(model, config)
    tensors, values = {}, {}
    for key, value in adamole_adapter.parameters(adapted).items():
        # What several linears share has one value.
        drawn = values.setdefault(id(value), torch.randn(value.shape, generator=generator) * 0.3)
        tensors[adamole_adapter.PREFIX + key] = drawn.clone()
    save_file(tensors, folder / "adapter_model.safetensors")


def traced(temporary):
    folder = GOLDEN / "bases/llama_gqa_s11"
    inputs = load_file(GOLDEN / "llama_gqa__lora/tensors.safetensors")
    # Padding on the right, where transformers and the program number positions alike.
    inputs = {"input_ids": inputs["input_ids"].flip(1), "attention_mask": inputs["attention_mask"].flip(1)}
    save_file(inputs, temporary / "batch.safetensors")
    for number, (name, fields) in enumerate(OTHERS.items()):
        adapter = temporary / f"adapter{number}"
        random_adapter(base(folder), fields, adapter)
        run("trace", "--model", folder, "--adapter", adapter, "--input", temporary / "batch.safetensors",
            "--output", temporary / "trace.safetensors")
        theirs = load_file(temporary / "trace.safetensors")["logits"]
        model = adamole_adapter.load(base(folder), adapter)
        found = logits(model, inputs)
        compare(f"{name}, traced", found, theirs, inputs)
        again = temporary / f"again{number}"
        adamole_adapter.save(model, again)
        assert logits(adamole_adapter.load(base(folder), again), inputs).equal(found), f"{name}: saved and loaded"
        run("trace", "--model", folder, "--adapter", again, "--input", temporary / "batch.safetensors",
            "--output", temporary / "again.safetensors")
        assert load_file(temporary / "again.safetensors")["logits"].equal(theirs), f"{name}: saved, and read here"
        if fields["peft_type"] != "SIRA":
            trained(model, inputs, name)


def trained(model, inputs, name):
    trainable = {key: value for key, value in model.named_parameters() if value.requires_grad}
    of_adapter = ("lora_", "moe_gate", "sparsegen")
    assert trainable and all(any(part in key for part in of_adapter) for key in trainable), name
    before = {key: value.clone() for key, value in model.named_parameters()}
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    model.train()(**inputs, labels=labels).loss.backward()
    torch.optim.SGD(trainable.values(), lr=0.1).step()
    changed = {key for key, value in model.named_parameters() if not value.equal(before[key])}
    assert changed and changed <= set(trainable), f"{name}: {changed}"
    adamole_adapter.after_step(model)
    moved = {key for key, value in model.named_parameters() if not value.equal(before[key])} - changed
    assert bool(moved) == ("flylora" in name) and all(key.endswith("lora_topk_bias") for key in moved), f"{name}: {moved}"


def refused(temporary):
    """What the loader does not understand leaves the model as it was."""
    case = GOLDEN / "llama_gqa__lora"
    tensors = load_file(case / "adapter_model.safetensors")
    fields = json.loads((case / "adapter_config.json").read_text())
    for number, (other, said) in enumerate([({"peft_type": "NEW"}, "NEW"), ({"use_dora": True}, "use_dora"),
                                            ({"lora_rank": 2, "target_modules": ["q_proj"]}, "tensors do not fit")]):
        folder = temporary / f"refused{number}"
        folder.mkdir()
        save_file(tensors, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps({**fields, **other}))
        model = base(GOLDEN / "bases/llama_gqa_s11")
        try:
            adamole_adapter.load(model, folder)
        except ValueError as error:
            assert said in str(error), error
        else:
            raise AssertionError(f"{other} is not refused")
        assert not any("lora" in key for key in model.state_dict()) and all(p.requires_grad for p in model.parameters())
    print("refused: another method, another field, other tensors")


if __name__ == "__main__":
    transformers.utils.logging.disable_progress_bar()
    golden()
    with tempfile.TemporaryDirectory() as folder:
        traced(pathlib.Path(folder))
        refused(pathlib.Path(folder))
