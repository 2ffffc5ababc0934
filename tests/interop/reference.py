#!/usr/bin/env python3
"""Records what transformers computes with the model of a folder: `reference.py MODEL`, into `MODEL-reference` beside it.

`tests/reference_logits.rs` compares these numbers with ours. Every text has a safetensors file:

- `input_ids` [L], by `tokenizer.json` itself: some tokenizer classes of transformers 5 replace its steps by their own
- `logits` [min(L, 8), V], float32, of the last positions
- `best` [L], the token with the highest logit at each position, and `lead` [L], by how much it is ahead of the second

`reference.json` holds the texts, the versions and how much the logits differ from those in float64."""

import json
import pathlib
import sys

import tokenizers
import torch
import transformers
from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
POSITIONS = 8
TEXTS = {
    "short": "The capital of France is Paris, and that of Italy is",
    "prose": "It was late in the autumn when the ferry stopped running. Those who lived on the far side of the river had "
             "known for weeks that it would, and had carried over flour, lamp oil and letters; yet on the first morning "
             "without it they all came down to the landing, as if the water might have changed its mind.",
    "choice": "Premise: The man broke his toe.\nQuestion: What was the cause?\nA. He got a hole in his sock.\n"
              "B. He dropped a hammer on his foot.\nAnswer:",
    "code": "def median(values):\n    \"\"\"The middle value.\"\"\"\n    ordered = sorted(values)\n    middle = len(ordered) // 2\n"
            "    if len(ordered) % 2:\n        return ordered[middle]\n    return (ordered[middle - 1] + ordered[middle]) / 2\n\n\n"
            "assert median([3, 1, 2]) ==",
    "digits": "Year  Visitors   Change\n2019  1,204,518    +3.1 %\n2020    310,077   -74.3 %\n2021    655,930\t+111.5 %\n2022  1,",
    "scripts": "Übergrößenträger – naïve café. Привет, мир! 你好,世界。 こんにちは。 नमस्ते. שלום. 👩‍👩‍👧‍👦🇩🇪 H₂O ≠ 2·x²",
    # Longer than 512 tokens, the window of Gemma 3 270M.
    "licence": (ROOT / "LICENSE-APACHE").read_text()[:4200],
}


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids[None]).logits[0]


def main(folder):
    output = folder.with_name(f"{folder.name}-reference")
    output.mkdir(exist_ok=True)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    encoded, computed, texts = {}, {}, {}
    for name, text in TEXTS.items():
        encoded[name] = torch.tensor(tokenizer.encode(text).ids)
        computed[name] = logits(model, encoded[name])
    model = model.double()
    for name, ids in encoded.items():
        values = computed[name]
        difference = (logits(model, ids) - values).abs().max().item()
        two = values.topk(2)
        save_file({
            "input_ids": ids,
            "logits": values[-POSITIONS:].contiguous(),
            "best": two.indices[:, 0].contiguous(),
            "lead": two.values[:, 0] - two.values[:, 1],
        }, output / f"{name}.safetensors")
        texts[name] = {"text": TEXTS[name], "tokens": len(ids), "float64_differs_by": difference}
        following = tokenizer.decode([two.indices[-1, 0].item()])
        print(f"{name}: {len(ids)} tokens, float64 differs by {difference:.1e}, goes on with {following!r}")
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    record = json.dumps({"versions": versions, "texts": texts}, indent=2, ensure_ascii=False)
    (output / "reference.json").write_text(record + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve())
