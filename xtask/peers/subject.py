"""What the programs of this folder share: the model with PEFT's LoRA on it, and the report."""

import argparse
import json
import resource
import statistics

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM


def parser(description):
    """The arguments that every program takes."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--threads", type=int, required=True)
    return arguments


def load(options, base=False):
    """The model, in float32, with LoRA on its attention projections or (`base`) without."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    if base:
        return model
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    config = LoraConfig(r=32, lora_alpha=16, lora_dropout=0.05, target_modules=targets, task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def median(seconds):
    """As the Rust program takes it: of the two in the middle the lower."""
    return statistics.median_low(seconds)


def report(options, **numbers):
    """Prints the result, with the names that the Rust program uses."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**numbers, "threads": options.threads, "peak_memory_bytes": peak}))
