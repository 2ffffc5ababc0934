"""Adapters of the program `adamole` on models of transformers: plain LoRA and mixtures of LoRA experts.

    import adamole_adapter
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained("the base")
    adamole_adapter.load(model, "the adapter")    # in place; only the adapter's parameters are trainable
    model.generate(...)
    adamole_adapter.save(model, "another folder")

It needs PyTorch, transformers and safetensors. An adapter is float32 whatever the base is. Training computes no load
balancing loss; add one of your own if the experts are to be used evenly. What the file does not understand is an error.
"""

import json
import math
import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

PREFIX = "base_model.model."
# Settings of each method, beside rank, alpha, dropout and targets.
METHODS = {
    "LORA": {"use_rslora"},
    "MOLE": {"num_experts", "top_k", "threshold", "top_p"},
    "ADAMOLE": {"num_experts", "max_threshold"},
    "SIRA": {"num_experts", "top_k", "capacity_factor", "gate_dropout", "renormalise"},
}
COMMON = {"peft_type", "r", "lora_rank", "lora_alpha", "lora_dropout", "target_modules", "rank_pattern", "alpha_pattern",
          "format_version"}
# They do not change what is computed.
HARMLESS = {"auto_mapping", "base_model_name_or_path", "inference_mode", "init_lora_weights", "peft_version", "revision",
            "task_type", "fan_in_fan_out"}


class AdaptedLinear(nn.Module):
    """A frozen linear with an adapter: `y = W x + s sum_i w_i B_i A_i x`, with weights w of a router, or 1.

    The names of its parameters are the keys of adapter files.
    """

    def __init__(self, base, method, settings, batch):
        super().__init__()
        self.base, self.method, self.settings, self.batch = base, method, settings, batch
        rank, experts = settings["rank"], settings.get("num_experts")
        root = math.sqrt(rank) if settings.get("use_rslora") else rank
        self.scale = settings["alpha"] / root
        pair = lambda: (nn.Linear(base.in_features, rank, bias=False), nn.Linear(rank, base.out_features, bias=False))
        if method == "LORA":
            self.lora_A, self.lora_B = pair()
        else:
            pairs = [pair() for _ in range(experts)]
            self.lora_A, self.lora_B = (nn.ModuleList(side) for side in zip(*pairs))
            self.lora_gating = nn.Linear(base.in_features, experts, bias=False)
        if method == "ADAMOLE":
            self.lora_threshold = nn.Linear(base.in_features, 1)
        self.to(base.weight.device)

    def forward(self, x):
        y = self.base(x)
        inputs = x.to(torch.float32)
        dropped = nn.functional.dropout(inputs, self.settings["dropout"], self.training)
        if self.method == "LORA":
            update = self.lora_B(self.lora_A(dropped))
        else:
            weights = self.route(inputs)
            update = sum(
                weights[..., i, None] * b(a(dropped)) for i, (a, b) in enumerate(zip(self.lora_A, self.lora_B)))
        return y + (self.scale * update).to(y.dtype)

    def route(self, x):
        """The weights of the experts, `[..., N]`, of inputs `[..., d_in]`."""
        p, s = torch.softmax(self.lora_gating(x), -1), self.settings
        if self.method == "ADAMOLE":
            margins = p - s["max_threshold"] * torch.sigmoid(self.lora_threshold(x))
            return normalised(margins, margins >= 0)
        if self.method == "SIRA":
            return self.limited(p)
        if s["top_k"] is not None:
            return normalised(p, sum(choices(p, s["top_k"])) > 0)
        if s["threshold"] is not None:
            return normalised(p, p >= s["threshold"])
        ordered, order = p.sort(dim=-1, descending=True, stable=True)
        needed = ordered.cumsum(-1) - ordered < s["top_p"]
        return normalised(p, torch.zeros_like(needed).scatter(-1, order, needed))

    def limited(self, p):
        """Top-k of SiRA, `[B, L, N]`, where an expert takes so many tokens of a sequence: first choices before second ones,
        and earlier tokens before later ones. Padding chooses nothing."""
        if self.training:
            raise NotImplementedError("SIRA is for evaluation here: call model.eval()")
        s, mask = self.settings, self.batch.get("mask")
        length = p.shape[1]
        tokens = p.new_ones(p.shape[:2]) if mask is None else mask[:, -length:].to(p.dtype)
        wanted = [choice * tokens[..., None] * (p > 0) for choice in choices(p, s["top_k"])]
        if s["capacity_factor"] is not None:
            share = torch.tensor(s["capacity_factor"] * s["top_k"] / p.shape[-1], dtype=torch.float32)
            limit = (tokens.sum(1) * share.to(p.device)).ceil()[:, None, None]
            taken, within = 0, []
            for choice in wanted:
                within.append(choice * (choice.cumsum(1) + taken <= limit))
                taken = taken + choice.sum(1, keepdim=True)
            wanted = within
        active = sum(wanted)
        return normalised(p, active > 0) if s["renormalise"] else p * active


def choices(p, k):
    """The k largest of the last dimension as k masks, the first among equals."""
    order = p.sort(dim=-1, descending=True, stable=True).indices
    return [nn.functional.one_hot(order[..., i], p.shape[-1]).to(p.dtype) for i in range(min(k, p.shape[-1]))]


def normalised(scores, active):
    """The scores of the active experts, scaled to sum to 1; zeros where they sum to 0."""
    scores = scores * active
    total = scores.sum(-1, keepdim=True)
    return torch.where(total > 0, scores / torch.where(total > 0, total, 1), 0)


def load(model, folder):
    """Puts the adapter in `folder` on `model`, whose other parameters are frozen. Returns the model.

    Raises ValueError for a method, a field or a tensor that is not understood or does not fit; the model is unchanged then.
    """
    folder = Path(folder)
    config = json.loads((folder / "adapter_config.json").read_text())
    method = config.get("peft_type")
    if method not in METHODS:
        raise ValueError(f"{folder}: the method {method} is not known here, only {', '.join(METHODS)}")
    if any(isinstance(module, AdaptedLinear) for module in model.modules()):
        raise ValueError("the model has an adapter already")
    known = COMMON | HARMLESS | METHODS[method] | {f"{name}_pattern" for name in METHODS[method]}
    neutral = (None, False, "", "none", [], {})
    unknown = [name for name, value in config.items() if name not in known and value not in neutral]
    if unknown or config.get("format_version", 1) > 1:
        raise ValueError(f"{folder}: fields that are not understood: {', '.join(unknown or ['format_version'])}")
    if not isinstance(config.get("init_lora_weights", True), bool) and config["init_lora_weights"] != "gaussian":
        raise ValueError(f"{folder}: init_lora_weights is {config['init_lora_weights']}, which may change the base")

    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    linears = {name: module for name, module in linears.items() if not name.endswith("lm_head")}
    targets = config["target_modules"]
    matches = re.compile(targets).fullmatch if isinstance(targets, str) else (
        lambda name: any(name == target or name.endswith(f".{target}") for target in targets))
    batch, adapted = {}, {}
    for name in filter(matches, linears):
        adapted[name] = AdaptedLinear(linears[name], method, settings(config, method, name), batch)

    tensors = {key: value for key, value in load_file(folder / "adapter_model.safetensors").items()
               if ".moe_layer." not in key}
    expected = {PREFIX + key: value for key, value in parameters(adapted).items()}
    wrong = [key for key in expected if key not in tensors or tensors[key].shape != expected[key].shape]
    wrong += [key for key in tensors if key not in expected]
    if wrong or not expected:
        raise ValueError(f"{folder}: tensors do not fit the model, {', '.join(wrong[:4]) or 'no linear is adapted'}")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    with torch.no_grad():
        for key, parameter in expected.items():
            parameter.copy_(tensors[key])
    for name, module in adapted.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module.train(model.training))

    def remember_padding(_model, _arguments, keywords):
        batch["mask"] = keywords.get("attention_mask")

    if method == "SIRA":
        model.register_forward_pre_hook(remember_padding, with_kwargs=True)
    model.adamole_config = config
    return model


def settings(config, method, name):
    """The settings of a linear. `<field>_pattern` holds those of linears that differ, by ends of names or expressions."""
    def of(field, pattern=None):
        for expression, value in (config.get(pattern or f"{field}_pattern") or {}).items():
            if re.fullmatch(rf"(?:.*\.)?(?:{expression})", name):
                return value
        return config.get(field)

    found = {field: of(field) for field in METHODS[method]}
    found |= {"rank": of("r" if "r" in config else "lora_rank", "rank_pattern"), "alpha": of("lora_alpha", "alpha_pattern"),
              "dropout": config.get("lora_dropout") or 0.0}
    if method == "MOLE" and sum(found[rule] is not None for rule in ("top_k", "threshold", "top_p")) != 1:
        raise ValueError("MOLE has one of top_k, threshold and top_p")
    if method == "ADAMOLE" and found["max_threshold"] is None:
        found["max_threshold"] = 1 / found["num_experts"]
    return found


def parameters(adapted):
    """The adapters' parameters by their keys, without the base."""
    return {f"{name}.{key}": parameter for name, module in adapted.items()
            for key, parameter in module.named_parameters() if not key.startswith("base.")}


def save(model, folder):
    """Writes the adapter of `model`, as `load` and the program read it, to `folder`."""
    adapted = {name: module for name, module in model.named_modules() if isinstance(module, AdaptedLinear)}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {PREFIX + key: value.detach().cpu().contiguous() for key, value in parameters(adapted).items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(model.adamole_config, indent=2) + "\n")
