"""A training step of PEFT's LoRA: the work of `adamole bench step`, by torch, transformers and peft.

On a GPU a half-precision base runs under autocast, as transformers' Trainer runs it: LoRA is float32, and its products are computed
in the base's type."""

import contextlib
import time

import subject
import torch

arguments = subject.parser(__doc__)
arguments.add_argument("--batch", type=int, default=16)
arguments.add_argument("--micro-batch", type=int, help="sequences at a time [the batch]")
arguments.add_argument("--tokens", type=int, default=64)
arguments.add_argument("--warm-up", type=int, default=1)
arguments.add_argument("--steps", type=int, default=5)
arguments.add_argument("--checkpoint", action="store_true", help="compute activations again in the backward pass")
options = arguments.parse_args()

model = subject.load(options)
if options.checkpoint:
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
model.train()
trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0)
ids = torch.randint(1, model.config.vocab_size, (options.batch, options.tokens), device=options.device)
parts = ids.split(options.micro_batch or options.batch)
mixed = contextlib.nullcontext()
if options.dtype != "float32":
    mixed = torch.autocast(options.device, getattr(torch, options.dtype))

seconds = []
for _ in range(options.warm_up + options.steps):
    started = time.perf_counter()
    for part in parts:
        with mixed:
            loss = model(input_ids=part, labels=part).loss
        (loss * (len(part) / options.batch)).backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    subject.wait(options)
    seconds.append(time.perf_counter() - started)
seconds = seconds[options.warm_up :]
median = subject.median(seconds)
subject.report(
    options,
    batch=options.batch,
    micro_batch=len(parts[0]),
    tokens=options.tokens,
    seconds_per_step=median,
    fastest=min(seconds),
    slowest=max(seconds),
    tokens_per_second=options.batch * options.tokens / median,
)
