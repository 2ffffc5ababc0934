"""Records what the logits processors of transformers leave of random scores: `python sampling.py ../golden/sampling.json`.

A case has scores, the text so far, settings, and the tokens that are left with their probabilities. It needs transformers 5 and
torch, and is run by hand.
"""

import itertools
import json
import random
import sys

import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

# In the order in which `generate` applies them.
PROCESSORS = {
    "repetition_penalty": RepetitionPenaltyLogitsProcessor,
    "temperature": TemperatureLogitsWarper,
    "top_k": TopKLogitsWarper,
    "top_p": TopPLogitsWarper,
    "min_p": MinPLogitsWarper,
}
VALUES = {
    "repetition_penalty": [1.3, 0.8],
    "temperature": [0.7, 1.0, 1.9],
    "top_k": [1, 5, 500],
    "top_p": [0.3, 0.9],
    "min_p": [0.02, 0.2],
}


def case(r, settings):
    scores = [round(r.gauss(0, 2.5), 3) for _ in range(r.choice([8, 40]))]
    # Equal scores are no rarity.
    scores[3] = scores[1]
    text = [r.randrange(len(scores)) for _ in range(6)]
    processors = LogitsProcessorList([PROCESSORS[name](settings[name]) for name in PROCESSORS if name in settings])
    left = processors(torch.tensor([text]), torch.tensor([scores], dtype=torch.float32))
    probabilities = torch.softmax(left.double(), -1)[0]
    kept = [[i, float(f"{p:.9g}")] for i, p in enumerate(probabilities.tolist()) if left[0, i] > -float("inf")]
    return {"scores": scores, "text": text, **settings, "kept": kept}


def main():
    r = random.Random(7)
    cases = []
    names = [name for name in VALUES if name != "temperature"]
    for count in range(len(names) + 1):
        for chosen in itertools.combinations(names, count):
            for _ in range(2):
                settings = {name: r.choice(VALUES[name]) for name in chosen}
                cases.append(case(r, {"temperature": r.choice(VALUES["temperature"]), **settings}))
    lines = ",\n".join(json.dumps(made) for made in cases)
    with open(sys.argv[1], "w") as file:
        file.write(f"[\n{lines}\n]\n")


main()
