"""Scores of multiple choice items: the work of `adamole bench eval`, done as the published evaluation script does it.

Batches of 16 in the order of the items, padded on the left; logits over the whole vocabulary at every position, of
which the last one's are compared between the letters."""

import time

import subject
import torch

BATCH = 16
WARM_UP = 8

arguments = subject.parser(__doc__)
arguments.add_argument("--base", action="store_true", help="without the adapter")
arguments.add_argument("--items", type=int, default=64)
arguments.add_argument("--tokens", type=int, default=96)
arguments.add_argument("--runs", type=int, default=3)
options = arguments.parse_args()

model = subject.load(options, options.base)
model.eval()


def numbers():
    """SplitMix64 from zero, from which the Rust program draws the lengths too."""
    counter, all_bits = 0, (1 << 64) - 1
    while True:
        counter = (counter + 0x9E3779B97F4A7C15) & all_bits
        z = ((counter ^ (counter >> 30)) * 0xBF58476D1CE4E5B9) & all_bits
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & all_bits
        yield z ^ (z >> 31)


lengths = [1 + number % options.tokens for _, number in zip(range(options.items), numbers())]
prompts = [torch.randint(1, model.config.vocab_size, (length,)) for length in lengths]
letters = torch.arange(4)


@torch.inference_mode()
def evaluate(prompts):
    chosen = []
    for first in range(0, len(prompts), BATCH):
        batch = prompts[first : first + BATCH]
        longest = max(len(prompt) for prompt in batch)
        ids = torch.zeros((len(batch), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(batch):
            ids[row, longest - len(prompt) :] = prompt
            mask[row, longest - len(prompt) :] = 1
        logits = model(input_ids=ids, attention_mask=mask).logits
        chosen.append(logits[:, -1, letters].argmax(dim=-1))
    return torch.cat(chosen)


evaluate(prompts[:WARM_UP])
seconds = []
for _ in range(options.runs):
    started = time.perf_counter()
    evaluate(prompts)
    seconds.append(time.perf_counter() - started)
median = subject.median(seconds)
subject.report(
    options,
    items=options.items,
    tokens=sum(lengths),
    seconds=median,
    items_per_second=options.items / median,
    tokens_per_second=sum(lengths) / median,
)
