"""Compares single linears of `adamole_adapter.py` with the golden numbers of the authors of each method: outputs, weights,
and the gradients of the task loss; of FlyLoRA also how its bias moves. `tests/golden/methods/README.md` describes the cases.

    python python_methods.py

It needs torch and safetensors. Prints the largest differences of each method."""

import json
import pathlib
import re
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "crates/adamole/src/cli/export"))
import adamole_adapter  # noqa: E402

# Of outputs and weights, absolute; of gradients, with 1e-5, as a share of the largest entry. The authors' float32 needs them.
OUTPUT, GRADIENT = 5e-5, {"ldmole": 2e-4}
# The keys of the cases, and those of the files.
KEYS = {
    "ldmole": [(r"lora_([AB])\.(\d+)", r"lora_\1\2"), ("lora_gating", "lora_route"),
               (r"sparsity\.(\d\.\w+)", r"sparsegen.mlp.proj_layers.{d_in}.\1")],
    "hydralora": [(r"lora_B\.(\d+)", r"lora_B\1"), ("lora_gating", "lora_route")],
    "dynmole": [(r"lora_([AB])\.(\d+)", r"experts.\2.lora_\1"), ("lora_gating", "moe_gate")],
    "comol": [(r"lora_cores\.(\d+)", r"lora_Cores.\1"), ("lora_gating", "lora_router")],
}
largest = {}


def close(case, what, found, expected, absolute, relative=0.0):
    difference = (found - expected).abs().max().item()
    kind = "gradients" if what.startswith("gradient") else "outputs"
    of_method = largest.setdefault(case["method"], {"outputs": 0.0, "gradients": 0.0})
    of_method[kind] = max(of_method[kind], difference / (1 if kind == "outputs" else max(1, expected.abs().max().item())))
    bound = absolute + relative * expected.abs().max().item()
    assert difference <= bound, f"{case['method']}/{case['name']}: {what} differs by {difference:.1e}, more than {bound:.1e}"


def linear(case, tensors, site, shared):
    """The adapted linear of a case, and its parameters by the keys of the case."""
    method, values = case["method"], {}
    for key, value in tensors.items():
        key = key.removeprefix("param.") if key.startswith("param.") else None
        if key and (key.startswith(site) or not key.startswith("site")):
            values[key.removeprefix(site)] = value
    weight = tensors.get("weight_before", values.pop("base_layer.weight"))
    values.pop("base_layer.weight", None)
    base = torch.nn.Linear(weight.shape[1], weight.shape[0], bias="base_layer.bias" in values)
    base.weight.data = weight
    if base.bias is not None:
        base.bias.data = values.pop("base_layer.bias")
    config = {**case, "lora_rank": case["rank"], "lora_alpha": case["alpha"]}
    config.pop("rank")
    settings = adamole_adapter.settings(config, method.upper(), "linear")
    adapted = adamole_adapter.AdaptedLinear(base.requires_grad_(False), method.upper(), settings, shared)
    parameters = dict(adapted.named_parameters())
    of_case = {}
    for key, value in values.items():
        name = key
        for pattern, other in KEYS.get(method, []):
            name = re.sub(f"^{pattern}", other.replace("{d_in}", str(weight.shape[1])), name)
        parameters[name].data = value.clone()
        of_case[key] = parameters[name]
    if method == "goat":
        # The start of an expert from its product: the split between A and B is free.
        for (a, b), product in zip(adapted.initial, tensors["expert_product"]):
            u, s, v = torch.linalg.svd(product, full_matrices=False)
            root = s[:case["rank"]].sqrt()
            a.weight.data, b.weight.data = root[:, None] * v[:case["rank"]], u[:, :case["rank"]] * root
    return adapted, of_case


def gradients(case, tensors, x, outputs, parameters, suffix=lambda value: value):
    sum(outputs).backward()
    found = {"x": x.grad, **{key: value.grad for key, value in parameters.items()}}
    relative = GRADIENT.get(case["method"], 1e-4)
    for key in (key for key in tensors if key.startswith("grad_task.")):
        gradient, expected = found.pop(key.removeprefix("grad_task.")), suffix(tensors[key])
        close(case, f"gradient of {key}", torch.zeros_like(expected) if gradient is None else gradient, expected, 1e-5, relative)
    assert all(value is None or not value.any() for value in found.values()), f"{case['name']}: {list(found)}"


def check(case, tensors):
    sites = [f"site{site}." for site in range(case.get("sites", 1))] if "sites" in case else [""]
    x, shared, outputs, parameters = tensors["x"].clone().requires_grad_(), {}, [], {}
    for site in sites:
        adapted, of_site = linear(case, tensors, site, shared)
        parameters |= {key if key.startswith("sparsity") else site + key: value for key, value in of_site.items()}
        ending = f".{site[:-1]}" if site else ""
        y = adapted.eval()(x)
        close(case, "y", y, tensors[f"y{ending}"], OUTPUT)
        if adapted.gate and case["method"] != "comol":
            weights = adapted.route(x).flatten(0, 1)
            close(case, "weights", weights, tensors[f"weights{ending}"], OUTPUT)
            selected = tensors.get(f"selected{ending}", tensors[f"weights{ending}"] > 0).bool()
            assert (weights > 0).equal(selected), f"{case['name']}: other experts are active"
        outputs.append((y * tensors[f"upstream{ending}"]).sum())
    gradients(case, tensors, x, outputs, parameters)


class Block(torch.nn.Module):
    """A gated feed-forward block."""

    def __init__(self, tensors, activation):
        super().__init__()
        self.activation = getattr(torch.nn.functional, activation)
        for name in adamole_adapter.BLOCK:
            weight = tensors[f"param.{name}.base_layer.weight"]
            linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
            linear.weight.data = weight.clone()
            self.add_module(name, linear)

    def forward(self, x):
        return self.down_proj(self.activation(self.gate_proj(x)) * self.up_proj(x))


def check_block(case, tensors):
    """MixLoRA, whose experts are whole feed-forward blocks, through files."""
    gate = next(name for name in adamole_adapter.BLOCK if name in case["targets"])
    keys = {"lora_gating.weight": f"mlp.{gate}.moe_gate.weight"}
    for key in (key.removeprefix("param.") for key in tensors if re.search(r"^param\..*lora_[AB]", key)):
        keys[key] = "mlp." + re.sub(r"lora_([AB])\.(\d+)", r"experts.\2.lora_\1", key)
    model = torch.nn.ModuleDict({"mlp": Block(tensors, case["activation"])})
    config = {"peft_type": "MIXLORA", "lora_rank": case["rank"], "lora_alpha": case["alpha"], "target_modules": case["targets"],
              "num_experts": case["num_experts"], "top_k": case["top_k"]}
    with tempfile.TemporaryDirectory() as folder:
        values = {adamole_adapter.PREFIX + file: tensors[f"param.{key}"].contiguous() for key, file in keys.items()}
        save_file(values, pathlib.Path(folder) / "adapter_model.safetensors")
        (pathlib.Path(folder) / "adapter_config.json").write_text(json.dumps(config))
        adamole_adapter.load(model, folder)
    x = tensors["x"].clone().requires_grad_()
    y = model["mlp"](x)
    # Where all experts are equally probable, torch chose others than the first.
    kept = [row for row in range(y.shape[0] * y.shape[1]) if row not in case["rows_tied_otherwise"]]
    close(case, "y", y.flatten(0, 1)[kept], tensors["y"].flatten(0, 1)[kept], OUTPUT)
    named = dict(model.named_parameters())
    gradients(case, tensors, x, [(y * tensors["upstream"]).sum()], {key: named[file] for key, file in keys.items()})


def check_steps(case, tensors):
    """FlyLoRA: several steps with the same A and B, after each of which the bias moves."""
    adapted, parameters = linear(case, tensors, "", {})
    model = torch.nn.Sequential(adapted).train()
    for step in range(case["steps"]):
        of_step = lambda value: value[step]
        close(case, "bias before", adapted.lora_topk_bias, tensors["d_before"][step], 1e-6)
        x = tensors["x"][step].clone().requires_grad_()
        y = model(x)
        close(case, "y", y, tensors["y"][step], OUTPUT)
        assert adapted.counts.long().equal(tensors["counts"][step].long()), f"{case['name']}: other ranks are active"
        model.zero_grad()
        gradients(case, tensors, x, [(y * tensors["upstream"]).sum()], parameters, of_step)
        adamole_adapter.after_step(model)
        close(case, "bias after", adapted.lora_topk_bias, tensors["d_after"][step], 1e-6)


if __name__ == "__main__":
    checked = 0
    for folder in sorted((ROOT / "tests/golden/methods").glob("*/*/")):
        case = json.loads((folder / "case.json").read_text())
        if case["kind"] == "remole_coefficient":
            continue  # the weight of a loss, which the loader does not compute
        tensors = load_file(folder / "tensors.safetensors")
        {"flylora": check_steps, "mixlora": check_block}.get(case["method"], check)(case, tensors)
        checked += 1
    assert checked, "no golden numbers"
    for method, apart in largest.items():
        print(f"{method}: outputs and weights differ by {apart['outputs']:.1e}, gradients by {apart['gradients']:.1e} "
              "of the largest entry where that is above 1")
