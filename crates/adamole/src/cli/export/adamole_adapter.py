"""Adapters of the program `adamole` on models of transformers: plain LoRA and mixtures of LoRA experts.

    import adamole_adapter
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained("the base")
    adamole_adapter.load(model, "the adapter")    # in place; only the adapter's parameters are trainable
    model.generate(...)
    adamole_adapter.save(model, "another folder")

It needs PyTorch, transformers and safetensors. An adapter is float32 whatever the base is. Training computes no auxiliary
loss; add one of your own if the experts are to be used evenly. With FlyLoRA, call `after_step(model)` after each step of
the optimizer. What the file does not understand is an error.
"""

import json
import math
import re
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

PREFIX = "base_model.model."
# Settings of each method, beside rank, alpha, dropout and targets.
METHODS = {
    "LORA": {"use_rslora"},
    "MOLE": {"num_experts", "top_k", "threshold", "top_p"},
    "ADAMOLE": {"num_experts", "max_threshold"},
    "SIRA": {"num_experts", "top_k", "capacity_factor", "gate_dropout", "renormalise"},
    "HYDRALORA": {"num_experts"},
    "LDMOLE": {"num_experts", "sparsity_hidden"},
    "DYNMOLE": {"num_experts", "top_p", "keep_top_k", "entropy_threshold", "entropy_type", "entropy_index"},
    "REMOLE": {"num_experts"},
    "COMOL": {"num_experts", "core_router"},
    "FLYLORA": {"top_k", "bias_rate", "variant"},
    "GOAT": {"num_experts", "top_k", "eta"},
    "MIXLORA": {"num_experts", "top_k"},
}
# Settings that matter only to losses and to the start of a training.
OF_TRAINING = {"LDMOLE": {"sparsity_loss"}, "DYNMOLE": {"entropy_loss"}, "REMOLE": {"top_k", "coefficient_factor"},
               "GOAT": {"init_type"}}
COMMON = {"peft_type", "r", "lora_rank", "lora_alpha", "lora_dropout", "target_modules", "rank_pattern", "alpha_pattern",
          "format_version"}
OPTIONAL = {"use_rslora", "capacity_factor", "gate_dropout", "renormalise", "eta"}
# They do not change what is computed.
HARMLESS = {"auto_mapping", "base_model_name_or_path", "inference_mode", "init_lora_weights", "peft_version", "revision",
            "task_type", "fan_in_fan_out"}
# The modules A and B of expert i, and the gate.
MODULES = {
    "LORA": ("lora_A", "lora_B", None),
    "HYDRALORA": ("lora_A", "lora_B{}", "lora_route"),
    "LDMOLE": ("lora_A{}", "lora_B{}", "lora_route"),
    "DYNMOLE": ("experts.{}.lora_A", "experts.{}.lora_B", "moe_gate"),
    "COMOL": ("lora_A", "lora_B", "lora_router"),
    "FLYLORA": ("lora_A", "lora_B", None),
    "MIXLORA": ("experts.{}.lora_A", "experts.{}.lora_B", "moe_gate"),
}
# The linears of a feed-forward block, the whole of which is an expert of MixLoRA.
BLOCK = ("gate_proj", "up_proj", "down_proj")


class AdaptedLinear(nn.Module):
    """A frozen linear with an adapter: `y = W x + s sum_i w_i B_i A_i x`, with weights w of a router, or 1.

    The names of its parameters are the keys of adapter files. `shared` is what the adapted linears of a model share: the
    mask of padding, the perceptrons of LD-MoLE by their number of inputs, and the expert of MixLoRA that is computed.
    """

    def __init__(self, base, method, settings, shared):
        super().__init__()
        self.base, self.method, self.settings, self.shared = base, method, settings, shared
        rank, d_in, d_out = settings["rank"], base.in_features, base.out_features
        experts = 1 if method == "LORA" else settings.get("num_experts") or 1
        self.scale = settings["alpha"] / (math.sqrt(rank) if settings.get("use_rslora") else rank)
        if settings.get("eta") is not None:
            self.scale = math.sqrt(3 * settings["eta"] * d_in / rank)
        a, b, self.gate = MODULES.get(method, ("lora_A.{}", "lora_B.{}", "lora_gating"))
        # CoMoL has one pair, whose experts lie between A and B.
        pairs = 1 if method == "COMOL" else experts
        self.pairs = [(self.linear(a.format(i), d_in, rank), self.linear(b.format(i), rank, d_out)) for i in range(pairs)]
        if (method == "LDMOLE" and experts == 1) or (method == "MIXLORA" and not settings["gate_width"]):
            self.gate = None
        if self.gate:
            self.linear(self.gate, rank if settings.get("core_router") else settings.get("gate_width") or d_in, experts)
        if method == "ADAMOLE":
            self.lora_threshold = nn.Linear(d_in, 1)
        if method == "LDMOLE" and self.gate:
            width = settings["sparsity_hidden"]
            if d_in not in shared:
                shared[d_in] = nn.Sequential(nn.Linear(d_in, width), nn.ReLU(), nn.Linear(width, 1))
            self.put(f"sparsegen.mlp.proj_layers.{d_in}", shared[d_in])
        if method == "COMOL":
            self.lora_Cores = nn.ParameterList(torch.zeros(rank, rank) for _ in range(experts))
        if method == "FLYLORA":
            self.lora_A.requires_grad_(False)
            self.lora_topk_bias, self.counts = nn.Parameter(torch.zeros(rank), requires_grad=False), None
        if method == "GOAT":
            self.initial = [(self.linear(f"lora_initial_A.{i}", d_in, rank).requires_grad_(False),
                             self.linear(f"lora_initial_B.{i}", rank, d_out).requires_grad_(False)) for i in range(experts)]
        self.to(base.weight.device)

    def put(self, path, module):
        """Makes `module` the submodule at a path with dots, if there is none."""
        parent, (*way, last) = self, path.split(".")
        for part in way:
            if part not in parent._modules:
                parent.add_module(part, nn.Module())
            parent = parent._modules[part]
        if last not in parent._modules:
            parent.add_module(last, module)
        return parent._modules[last]

    def linear(self, path, inputs, outputs):
        return self.put(path, nn.Linear(inputs, outputs, bias=False))

    def dropout(self, x):
        return F.dropout(x, self.settings["dropout"], self.training)

    def forward(self, x):
        y, inputs = self.base(x), x.to(torch.float32)
        return y + (self.scale * self.update(inputs, self.dropout(inputs))).to(y.dtype)

    def update(self, x, dropped):
        """What the adapter adds to the output before its scale, of inputs `[..., d_in]` without and with dropout."""
        if self.method == "COMOL":
            return self.merged(x, self.lora_A(dropped))
        if self.method == "FLYLORA":
            return self.lora_B(self.largest(self.lora_A(dropped)))
        if self.method == "MIXLORA":
            a, b = self.pairs[self.shared["expert"]]
            return b(a(dropped))
        weights = self.route(dropped if self.method == "LDMOLE" else x) if self.gate else dropped.new_ones(1)
        update = sum(weights[..., i, None] * b(a(dropped)) for i, (a, b) in enumerate(self.pairs))
        if self.method == "GOAT":
            update = update - sum(b(a(x)) for a, b in self.initial) / len(self.initial)
        return update

    def route(self, x):
        """The weights of the experts, `[..., N]`, of inputs `[..., d_in]`."""
        logits, s = self.get_submodule(self.gate)(x), self.settings
        if self.method == "REMOLE":
            return logits.relu()
        if self.method == "LDMOLE":
            return sparsegen(logits, F.logsigmoid(self.shared[x.shape[-1]](x)) + 0.99)
        p = torch.softmax(logits, -1)
        if self.method == "HYDRALORA":
            return p
        if self.method == "ADAMOLE":
            margins = p - s["max_threshold"] * torch.sigmoid(self.lora_threshold(x))
            return normalised(margins, margins >= 0)
        if self.method == "DYNMOLE":
            return self.kept(p)
        if self.method == "SIRA":
            return self.limited(p)
        if s["top_k"] is not None:
            return normalised(p, sum(choices(p, s["top_k"])) > 0)
        if s["threshold"] is not None:
            return normalised(p, p >= s["threshold"])
        ordered, order = p.sort(dim=-1, descending=True, stable=True)
        needed = ordered.cumsum(-1) - ordered < s["top_p"]
        return normalised(p, torch.zeros_like(needed).scatter(-1, order, needed))

    def kept(self, p):
        """Top-p of DynMoLE, without the expert that crosses it; all experts where the entropy is high. Not normalised."""
        s, experts = self.settings, p.shape[-1]
        ordered, order = p.detach().sort(dim=-1, descending=True, stable=True)
        within = ordered.cumsum(-1) <= s["top_p"]
        within[..., :s["keep_top_k"]] = True
        kept = torch.zeros_like(within).scatter(-1, order, within)
        if s["entropy_threshold"] < 1 and experts > 1:
            q, raised = s["entropy_index"], p.detach() + 1e-5
            if q == 1:
                entropy = -(raised * raised.log()).sum(-1, keepdim=True) / math.log(experts)
            elif s["entropy_type"] == "tsallis":
                entropy = (1 - raised.pow(q).sum(-1, keepdim=True)) / (1 - experts ** (1 - q))
            else:
                entropy = (raised.pow(q).sum(-1, keepdim=True) + 1e-10).log() / ((1 - q) * math.log(experts))
            kept = kept | (entropy > s["entropy_threshold"])
        return p * kept

    def merged(self, x, h):
        """CoMoL: the cores of the experts, merged for each token, between A and B."""
        p = torch.softmax(self.get_submodule(self.gate)(h if self.settings["core_router"] else x), -1)
        core = self.dropout(torch.einsum("...n,nij->...ij", p, torch.stack(list(self.lora_Cores))))
        return self.lora_B(self.dropout(torch.einsum("...i,...ij->...j", h, core)))

    def largest(self, h):
        """FlyLoRA: the k largest of the ranks, which are its experts."""
        scores = h.detach() + self.lora_topk_bias
        peft = self.settings["variant"] == "peft"
        mask = sum(choices(scores if peft else scores.abs(), self.settings["top_k"]))
        if self.training:
            tokens = self.shared.get("mask")
            counted = mask if tokens is None or mask.dim() < 3 else mask * tokens[:, -mask.shape[1]:, None].to(mask.dtype)
            self.counts = counted.flatten(0, -2).sum(0) + (0 if self.counts is None else self.counts)
        return (h.detach() if peft else h) * mask

    def limited(self, p):
        """Top-k of SiRA, `[B, L, N]`, where an expert takes so many tokens of a sequence: first choices before second ones,
        and earlier tokens before later ones. Padding chooses nothing."""
        if self.training:
            raise NotImplementedError("SIRA is for evaluation here: call model.eval()")
        s, mask = self.settings, self.shared.get("mask")
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


def choices(scores, k):
    """The k largest of the last dimension as k masks, the first among equals."""
    order = scores.sort(dim=-1, descending=True, stable=True).indices
    return [F.one_hot(order[..., i], scores.shape[-1]).to(scores.dtype) for i in range(min(k, scores.shape[-1]))]


def normalised(scores, active):
    """The scores of the active experts, scaled to sum to 1; zeros where they sum to 0."""
    scores = scores * active
    total = scores.sum(-1, keepdim=True)
    return torch.where(total > 0, scores / torch.where(total > 0, total, 1), 0)


def sparsegen(u, sparsity):
    """The projection of logits `[..., N]` of LD-MoLE: weights that sum to 1, the fewer the larger the sparsity `[..., 1]`."""
    ordered = u.sort(dim=-1, descending=True, stable=True).values
    sums, places = ordered.cumsum(-1), torch.arange(1, u.shape[-1] + 1, device=u.device)
    count = (1 - sparsity + places * ordered > sums).sum(-1, keepdim=True).clamp(min=1)
    tau = (sums.gather(-1, count - 1) - 1 + sparsity) / count
    return (u - tau).relu() / (1 - sparsity).clamp(min=0.01)


def mixed(forward, linear):
    """The forward pass of a feed-forward block with the experts of MixLoRA, whose gate is on `linear`: each is the whole block."""
    def forward_of_experts(x):
        p = torch.softmax(linear.get_submodule(linear.gate)(x.to(torch.float32)), -1)
        weights = normalised(p, sum(choices(p, linear.settings["top_k"])) > 0)
        total = 0
        for expert in range(p.shape[-1]):
            linear.shared["expert"] = expert
            total = total + weights[..., expert, None].to(x.dtype) * forward(x)
        return total

    return forward_of_experts


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
    own = METHODS[method] | OF_TRAINING.get(method, set())
    known = COMMON | HARMLESS | own | {f"{name}_pattern" for name in own}
    neutral = (None, False, "", "none", [], {})
    unknown = [name for name, value in config.items() if name not in known and value not in neutral]
    if unknown or config.get("format_version", 1) > 1:
        raise ValueError(f"{folder}: fields that are not understood: {', '.join(unknown or ['format_version'])}")
    if not isinstance(config.get("init_lora_weights", True), bool) and config["init_lora_weights"] != "gaussian":
        raise ValueError(f"{folder}: init_lora_weights is {config['init_lora_weights']}, which may change the base")

    adapted, shared = adapted_linears(model, config)
    # Some authors' code stores tensors a second time.
    tensors = {key: value for key, value in load_file(folder / "adapter_model.safetensors").items()
               if ".moe_layer." not in key and "sparsegen_fn." not in key}
    expected = {PREFIX + key: value for key, value in parameters(adapted).items()}
    wrong = [key for key in expected if key not in tensors or tensors[key].shape != expected[key].shape]
    wrong += [key for key in tensors if key not in expected]
    if wrong or not expected:
        raise ValueError(f"{folder}: tensors do not fit the model, {', '.join(wrong[:4]) or 'no linear is adapted'}")
    with torch.no_grad():
        for key, parameter in expected.items():
            parameter.copy_(tensors[key])
        for key, parameter in expected.items():
            if not parameter.cpu().equal(tensors[key].to(parameter.dtype)):
                raise ValueError(f"{folder}: {key} is not equal to the other copies of that parameter, or not finite")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for name, module in adapted.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module.train(model.training))
        if method == "MIXLORA" and module.gate:
            block = model.get_submodule(parent)
            block.forward = mixed(block.forward, module)

    def remember_padding(_model, _arguments, keywords):
        shared["mask"] = keywords.get("attention_mask")

    if method in ("SIRA", "FLYLORA"):
        model.register_forward_pre_hook(remember_padding, with_kwargs=True)
    model.adamole_config = config
    return model


def adapted_linears(model, config):
    """The linears of a model that a config adapts, with adapters whose values are not set, and what they share."""
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    linears = {name: module for name, module in linears.items() if not name.endswith("lm_head")}
    targets, method = config["target_modules"], config["peft_type"]
    matches = re.compile(targets).fullmatch if isinstance(targets, str) else (
        lambda name: any(name == target or name.endswith(f".{target}") for target in targets))
    shared, adapted, names = {}, {}, list(filter(matches, linears))
    for name in names:
        of_linear, of_method, linear = settings(config, method, name), method, linears[name]
        if method == "MIXLORA":
            block, _, last = name.rpartition(".")
            first = next((other for other in BLOCK if f"{block}.{other}" in names), None)
            width = linear.out_features if last == BLOCK[-1] else linear.in_features
            of_linear["gate_width"] = width if last == first else None
            # Attention has a plain LoRA.
            of_method = method if last in BLOCK else "LORA"
        adapted[name] = AdaptedLinear(linear, of_method, of_linear, shared)
    return adapted, shared


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
    missing = [field for field in METHODS[method] - OPTIONAL if found[field] is None and method != "MOLE"]
    if missing:
        raise ValueError(f"fields that {method} needs are absent: {', '.join(missing)}")
    return found


def parameters(adapted):
    """The adapters' parameters by their keys, without the base."""
    return {f"{name}.{key}": parameter for name, module in adapted.items()
            for key, parameter in module.named_parameters() if not key.startswith("base.")}


def after_step(model):
    """Moves the biases of FlyLoRA after a step of training, so that all ranks are used: by the tokens that activated each."""
    for module in model.modules():
        if isinstance(module, AdaptedLinear) and module.method == "FLYLORA" and module.counts is not None:
            s, counts = module.settings, module.counts
            aim = counts.mean() if s["variant"] == "peft" else min(s["top_k"], len(counts)) / len(counts)
            module.lora_topk_bias += s["bias_rate"] * torch.sign(aim - counts)
            module.counts = None


def save(model, folder):
    """Writes the adapter of `model`, as `load` and the program read it, to `folder`."""
    adapted = {name: module for name, module in model.named_modules() if isinstance(module, AdaptedLinear)}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {PREFIX + key: value.detach().cpu().clone().contiguous() for key, value in parameters(adapted).items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(model.adamole_config, indent=2) + "\n")
