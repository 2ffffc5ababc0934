#!/usr/bin/env python3
"""The losses of a LoRA on text of one's own, here and in PEFT: `own_text.py PROGRAM MODEL DATA`.

DATA is a folder with train.jsonl and validation.jsonl. Both sides have the same base in float32, the same token ids and
labels (`adamole items`), the same initial adapter, batches, learning rates, AdamW and clipping, and no dropout. What is left
are the orders of sums, and that one side packs texts where the other pads them."""

import argparse
import json
import pathlib
import resource
import subprocess
import tempfile
import time

import peft
import torch
import transformers

MASK = (1 << 64) - 1
STEP = 0x9E3779B97F4A7C15
WINDOW = 16


class Stream:
    """SplitMix64 by seed and epoch, which deals the rows into batches (`adamole-data`, `batches/shuffle.rs`)."""

    def __init__(self, seed, epoch):
        first = self.mixed((seed + STEP) & MASK)
        self.state = self.mixed(first ^ epoch)

    @staticmethod
    def mixed(state):
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        return state ^ (state >> 31)

    def shuffle(self, items):
        for last in range(len(items) - 1, 0, -1):
            self.state = (self.state + STEP) & MASK
            other = (self.mixed(self.state) * (last + 1)) >> 64
            items[last], items[other] = items[other], items[last]


def batches(lengths, size, micro, seed, epoch):
    """The rows of each step of an epoch (`batches/order.rs`)."""
    stream = Stream(seed, epoch)
    order = list(range(len(lengths)))
    stream.shuffle(order)
    result = []
    for start in range(0, len(order), size * WINDOW):
        window = order[start:start + size * WINDOW]
        slots = []
        for first in range(0, len(window), size):
            rows = len(window[first:first + size])
            slots += [(len(result), min(micro, rows - place)) for place in range(0, rows, micro)]
            result.append([])
        stream.shuffle(slots)
        window.sort(key=lambda row: lengths[row])
        for batch, rows in slots:
            result[batch] += window[:rows]
            window = window[rows:]
    return result


def padded(texts):
    """Token ids, attention mask and labels of texts, padded on the right."""
    longest = max(len(text["ids"]) for text in texts)
    ids = torch.zeros(len(texts), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, text in enumerate(texts):
        length = len(text["ids"])
        ids[row, :length], mask[row, :length] = torch.tensor(text["ids"]), 1
        for start, end in text["labelled"]:
            labels[row, start:end] = ids[row, start:end]
    return ids, mask, labels


def loss_of(model, texts):
    """The sum of the cross-entropy of all labels, and their number."""
    ids, mask, labels = padded(texts)
    logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1]
    targets = labels[:, 1:]
    chosen = targets != -100
    return torch.nn.functional.cross_entropy(logits[chosen].float(), targets[chosen], reduction="sum"), int(chosen.sum())


def validation_loss(model, texts):
    with torch.no_grad():
        parts = [loss_of(model, texts[start:start + 8]) for start in range(0, len(texts), 8)]
    return sum(float(loss) for loss, _ in parts) / sum(count for _, count in parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=160, help="training rows, the first ones")
    parser.add_argument("--validation-rows", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--chat-template", help="for a base without one")
    options = parser.parse_args()
    size, rate, warmup, seed = 16, 1e-3, 4, 0

    def run(*arguments):
        result = subprocess.run([options.program.resolve(), *map(str, arguments)], capture_output=True, text=True)
        assert result.returncode == 0, f"{arguments}: {result.stderr}"
        return result.stdout

    template = ["--chat-template", options.chat_template] if options.chat_template else []

    def texts(data):
        lines = run("items", "--data", data, "--model", options.model, "--tokens", "--format", "json", *template)
        return [json.loads(line)["tokens"] for line in lines.splitlines()]

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = {"train": options.rows, "validation": options.validation_rows, "few": 16}
        for split, rows in files.items():
            lines = (options.data / f"{split if split != 'few' else 'train'}.jsonl").read_text().splitlines(keepends=True)
            files[split] = folder / f"{split}.jsonl"
            files[split].write_text("".join(lines[:rows]))
        settings = ["--model", options.model, "--method", "lora", "--dropout", 0, "--seed", seed, "--batch-size", size,
                    "--learning-rate", rate, "--format", "json", *template]
        # A run of one step has a learning rate of 0 at that step: what it saves is the initial adapter.
        run("train", *settings, "--data", files["few"], "--epochs", 1, "--warmup-steps", 2, "--output", folder / "initial")
        ours = json.loads(run("train", *settings, "--data", files["train"], "--validation-data", files["validation"],
                              "--epochs", options.epochs, "--warmup-steps", warmup, "--output", folder / "ours"))
        metrics = [json.loads(line) for line in (folder / "ours/metrics.jsonl").read_text().splitlines()]
        train, validation = texts(files["train"]), texts(files["validation"])
        base = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
        model = peft.PeftModel.from_pretrained(base, folder / "initial/adapter", is_trainable=True)
    model.eval()  # No dropout on either side.
    steps = [line for line in metrics if line["event"] == "step"]
    validations = [line["validation_loss"] for line in metrics if line["event"] == "epoch"]

    lengths = [len(text["ids"]) for text in train]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert sum(parameter.numel() for parameter in parameters) == ours["trainable_parameters"]
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    print(f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}")
    theirs, started = [], time.monotonic()
    validated = [validation_loss(model, validation)]
    for epoch in range(1, options.epochs + 1):
        for batch in batches(lengths, size, 4, seed, epoch):
            loss, count = loss_of(model, [train[row] for row in batch])
            loss = loss / count
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, len(theirs) / warmup)
            optimizer.step()
            optimizer.zero_grad()
            theirs.append(loss.item())
        validated.append(validation_loss(model, validation))
    seconds = time.monotonic() - started

    assert len(theirs) == len(steps)
    print("| step | here | PEFT | difference |\n|---:|---:|---:|---:|")
    for step, (mine, other) in enumerate(zip((step["task_loss"] for step in steps), theirs), 1):
        if step <= 10 or step == len(theirs):
            print(f"| {step} | {mine:.5f} | {other:.5f} | {mine - other:+.1e} |")
    for epoch, (mine, other) in enumerate(zip(validations, validated)):
        print(f"| validation after epoch {epoch} | {mine:.5f} | {other:.5f} | {mine - other:+.1e} |")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for who, took, peak in [("here", ours["seconds"], ours["peak_memory_bytes"]), ("PEFT", seconds, memory)]:
        print(f"{who}: {took:.0f} s, peak memory {peak / 2**30:.2f} GiB")
    worst = max(abs(step["task_loss"] - other) for step, other in zip(steps[:10], theirs))
    assert worst < 1e-3, f"the first ten losses differ by up to {worst:.1e}"


if __name__ == "__main__":
    main()
