"""A training step of PEFT's LoRA: the work of `adamole bench step`, by torch, transformers and peft."""

import time

import subject
import torch

arguments = subject.parser(__doc__)
arguments.add_argument("--batch", type=int, default=16)
arguments.add_argument("--tokens", type=int, default=64)
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
ids = torch.randint(1, model.config.vocab_size, (options.batch, options.tokens))

seconds = []
for _ in range(options.steps + 1):
    started = time.perf_counter()
    loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    seconds.append(time.perf_counter() - started)
seconds = seconds[1:]
median = subject.median(seconds)
subject.report(
    options,
    batch=options.batch,
    tokens=options.tokens,
    seconds_per_step=median,
    fastest=min(seconds),
    slowest=max(seconds),
    tokens_per_second=options.batch * options.tokens / median,
)
