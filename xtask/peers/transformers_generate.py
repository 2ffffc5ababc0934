"""The most probable continuation, with cached keys and values: the work of `adamole bench generate`."""

import time

import subject
import torch

arguments = subject.parser(__doc__)
arguments.add_argument("--base", action="store_true", help="without the adapter")
arguments.add_argument("--batch", type=int, default=1)
arguments.add_argument("--prompt-tokens", type=int, default=32)
arguments.add_argument("--new-tokens", type=int, default=64)
arguments.add_argument("--runs", type=int, default=3)
options = arguments.parse_args()

model = subject.load(options, options.base)
model.eval()
ids = torch.randint(1, model.config.vocab_size, (options.batch, options.prompt_tokens))
mask = torch.ones_like(ids)


@torch.inference_mode()
def generate():
    # No end of sequence stops it: the least number of new tokens is the most.
    limits = {"min_new_tokens": options.new_tokens, "max_new_tokens": options.new_tokens}
    made = model.generate(
        input_ids=ids, attention_mask=mask, do_sample=False, use_cache=True, pad_token_id=0, eos_token_id=None, **limits
    )
    assert made.shape[1] == options.prompt_tokens + options.new_tokens


seconds = []
for _ in range(options.runs + 1):
    started = time.perf_counter()
    generate()
    seconds.append(time.perf_counter() - started)
median = subject.median(seconds[1:])
subject.report(
    options,
    batch=options.batch,
    prompt_tokens=options.prompt_tokens,
    new_tokens=options.new_tokens,
    seconds=median,
    tokens_per_second=options.batch * options.new_tokens / median,
)
