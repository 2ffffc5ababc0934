"""A training step of PEFT's LoRA: the work of `adamole bench step`, by torch, transformers and peft."""

import argparse
import json
import resource
import statistics
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

arguments = argparse.ArgumentParser()
arguments.add_argument("--model", required=True)
arguments.add_argument("--batch", type=int, default=16)
arguments.add_argument("--tokens", type=int, default=64)
arguments.add_argument("--steps", type=int, default=5)
arguments.add_argument("--threads", type=int, required=True)
arguments.add_argument("--checkpoint", action="store_true")
options = arguments.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
if options.checkpoint:
    model.gradient_checkpointing_enable()
    model.enable_input_require_grads()
targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
model = get_peft_model(
    model, LoraConfig(r=32, lora_alpha=16, lora_dropout=0.05, target_modules=targets, task_type="CAUSAL_LM")
)
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
median = statistics.median_low(seconds)
print(
    json.dumps(
        {
            "seconds_per_step": median,
            "fastest": min(seconds),
            "slowest": max(seconds),
            "tokens_per_second": options.batch * options.tokens / median,
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "threads": options.threads,
        }
    )
)
