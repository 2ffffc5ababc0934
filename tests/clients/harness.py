"""Compares lm-evaluation-harness on a server with `adamole evaluate` on the same items.

    adamole items    --model MODEL --benchmark copa --data DATA --limit 100 --tokens --format json > items.jsonl
    adamole evaluate --model MODEL --benchmark copa --data DATA --limit 100 --predictions base.jsonl
    adamole evaluate --model MODEL --benchmark copa --data DATA --limit 100 --predictions copa.jsonl --adapter DIR
    adamole serve    --model MODEL --adapter copa=DIR --port 8000
    python harness.py --base-url http://127.0.0.1:8000 --folder MODEL --items items.jsonl \\
        --model MODEL base.jsonl --model copa copa.jsonl [--transformers copa=DIR]

`local-completions` asks for log-likelihoods of the letters after each prompt (`letters.yaml`). Accuracy has to be that of the
predictions. The predictions hold logits of the letters, so log-likelihoods are compared as they are among the letters; with
`--transformers`, which may be given more than once and takes `NAME` for the base, also as they are, with what transformers
computes of the base and the adapter in `adamole_adapter.py`."""

import argparse
import json
import math
import pathlib
import sys
import tempfile

import lm_eval
from lm_eval.api.registry import get_model
import yaml

HERE = pathlib.Path(__file__).resolve().parent
TOLERANCE = 1e-3


def read(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]


def task(items, folder):
    """The task of these items, with a file of them in `folder`."""
    config = yaml.safe_load((HERE / "letters.yaml").read_text())
    rows = []
    for item in items:
        letters = [chr(ord("A") + place) for place in range(len(item["choices"]))]
        rows.append({"prompt": item["prompt"].rstrip(), "letters": letters, "answer": letters.index(item["answer"])})
    file = folder / "items.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config["dataset_kwargs"]["data_files"] = {"validation": str(file)}
    return config


def same_tokens(items, folder):
    """That transformers makes the tokens of a prompt and of its letters that `adamole items` lists."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    encode = lambda text: tokenizer(text, add_special_tokens=False).input_ids
    for item in items:
        tokens, prompt = item["tokens"], item["prompt"].rstrip()
        assert not tokens["truncated"], f"row {item['row']} is cut off: raise --max-tokens"
        for place, choice in enumerate(tokens["choices"]):
            found = encode(f"{prompt} {chr(ord('A') + place)}")
            assert found == [*tokens["evaluate"], choice], f"row {item['row']} has other tokens in transformers"


def evaluated(model, config, limit=None):
    """The accuracy of a model of lm-evaluation-harness, and the log-likelihoods of the letters of every item, or the first ones."""
    results = lm_eval.simple_evaluate(model=model, tasks=[config], bootstrap_iters=0, log_samples=True, limit=limit)
    samples = sorted(results["samples"][config["task"]], key=lambda sample: sample["doc_id"])
    return results["results"][config["task"]]["acc,none"], [
        [float(response[0]) for response in sample["filtered_resps"]] for sample in samples]


def among_choices(scores):
    largest = max(scores)
    total = largest + math.log(sum(math.exp(score - largest) for score in scores))
    return [score - total for score in scores]


def apart(ours, theirs):
    return max(abs(a - b) for one, other in zip(ours, theirs, strict=True) for a, b in zip(one, other, strict=True))


def in_transformers(folder, adapter):
    import torch
    import transformers
    from lm_eval.models.huggingface import HFLM

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter:
        sys.path.insert(0, str(HERE.parents[1] / "crates/adamole/src/cli/export"))
        import adamole_adapter

        adamole_adapter.load(model, adapter)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return HFLM(pretrained=model.eval(), tokenizer=tokenizer, batch_size=8, device="cpu")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--folder", required=True, help="folder of the base model, for its tokenizer")
    parser.add_argument("--items", required=True)
    parser.add_argument("--model", nargs=2, action="append", required=True, metavar=("NAME", "PREDICTIONS"))
    parser.add_argument("--transformers", action="append", default=[], metavar="NAME[=ADAPTER]")
    parser.add_argument("--transformers-limit", type=int, help="so many items only, which is quicker")
    parser.add_argument("--concurrent", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--api-key")
    arguments = parser.parse_args()
    items = read(arguments.items)
    same_tokens(items, arguments.folder)
    local = dict(each.partition("=")[::2] for each in arguments.transformers)
    failed, lines = [], []
    with tempfile.TemporaryDirectory() as temporary:
        config = task(items, pathlib.Path(temporary))
        for name, file in arguments.model:
            server = get_model("local-completions")(
                model=name, base_url=f"{arguments.base_url.rstrip('/')}/v1/completions", tokenizer_backend="huggingface",
                tokenizer=arguments.folder, num_concurrent=arguments.concurrent, batch_size=arguments.batch_size,
                header={"Authorization": f"Bearer {arguments.api_key}"} if arguments.api_key else None)
            accuracy, found = evaluated(server, config)
            predictions = read(file)
            assert len(predictions) == len(items), f"{file} has {len(predictions)} predictions of {len(items)} items"
            expected = sum(each["predicted"] == each["answer"] for each in predictions) / len(items)
            choices = apart([among_choices(each) for each in found], [among_choices(each["scores"]) for each in predictions])
            whole = None
            if name in local:
                model = in_transformers(arguments.folder, local[name])
                _, likelihoods = evaluated(model, config, arguments.transformers_limit)
                whole = apart(found[:len(likelihoods)], likelihoods)
            lines.append((name, len(items), accuracy, expected, choices, whole))
            if accuracy != expected:
                failed.append(f"{name}: accuracy {accuracy}, and {expected} in {file}")
            for what, value in (("adamole evaluate", choices), ("transformers", whole)):
                if value is not None and not value <= TOLERANCE:
                    failed.append(f"{name}: log-likelihoods differ from those of {what} by {value:.1e}")
    print("| model | items | accuracy, lm-eval | accuracy, adamole evaluate | largest difference of log-likelihoods among the "
          "choices | from transformers |\n|---|---:|---:|---:|---:|---:|")
    for name, count, accuracy, expected, choices, whole in lines:
        print(f"| {name} | {count} | {accuracy:.4f} | {expected:.4f} | {choices:.1e} | "
              f"{'' if whole is None else f'{whole:.1e}'} |")
    for failure in failed:
        print(f"FAIL  {failure}")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
