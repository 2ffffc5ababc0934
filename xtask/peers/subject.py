"""What the programs of this folder share: the model with PEFT's LoRA on it, and the report."""

import argparse
import json
import resource
import statistics

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM


def parser(description):
    """The arguments that every program takes."""
    arguments = argparse.ArgumentParser(description=description)
    subject = arguments.add_mutually_exclusive_group(required=True)
    subject.add_argument("--model")
    subject.add_argument("--shape", help="a folder with a config.json: the weights are random")
    arguments.add_argument("--threads", type=int, required=True)
    arguments.add_argument("--device", default="cpu", help="cpu or cuda")
    arguments.add_argument("--dtype", default="float32", help="of the frozen weights; LoRA is float32")
    return arguments


def load(options, base=False):
    """The model with LoRA on its attention projections or (`base`) without."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    dtype = getattr(torch, options.dtype)
    if options.shape:
        with torch.device(options.device):
            model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(options.shape), dtype=dtype)
    else:
        model = AutoModelForCausalLM.from_pretrained(options.model, dtype=dtype).to(options.device)
    if base:
        return model
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    config = LoraConfig(r=32, lora_alpha=16, lora_dropout=0.05, target_modules=targets, task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def wait(options):
    """Until the device is done."""
    if options.device != "cpu":
        torch.cuda.synchronize()


def median(seconds):
    """As the Rust program takes it: of the two in the middle the lower."""
    return statistics.median_low(seconds)


def report(options, **numbers):
    """Prints the result, with the names that the Rust program uses."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if options.device != "cpu":
        numbers["device_memory_bytes"] = torch.cuda.max_memory_reserved()
        numbers["allocated_device_memory_bytes"] = torch.cuda.max_memory_allocated()
    print(json.dumps({**numbers, "threads": options.threads, "peak_memory_bytes": peak}))
