#!/usr/bin/env python3
"""Commonsense benchmarks as instructions with answers in words, in the manner of Commonsense-170K (Hu et al. 2023,
arXiv 2304.01933): `commonsense_rows.py OUTPUT FOLDER...`.

Each FOLDER is that of a benchmark (boolq, piqa, social_i_qa, hellaswag, winogrande, ARC-Easy, ARC-Challenge or openbookqa)
with train.jsonl and perhaps validation.jsonl in the published fields, which tell the benchmarks apart. OUTPUT gets the same
two files, with rows of all benchmarks mixed by a fixed seed."""

import json
import pathlib
import random
import sys


def choice(question, texts, right, what="answer", ask="Please choose the correct answer to the question"):
    """An instruction with numbered options."""
    listed = " ".join(f"{what.capitalize()}{number}: {text}" for number, text in enumerate(texts, 1))
    names = "/".join(f"{what}{number}" for number in range(1, len(texts) + 1))
    return f"{ask}: {question}\n\n{listed}\n\nAnswer format: {names}", f"{what}{right + 1}"


def boolq(row):
    right = row.get("answer", row.get("label"))
    return (f"Please answer the following question with true or false, question: {row['question']}?\n\n"
            "Answer format: true/false"), "true" if right in (1, True) else "false"


def piqa(row):
    return choice(row["goal"], [row["sol1"], row["sol2"]], int(row["label"]), "solution",
                  "Please choose the correct solution to the question")


def social_i_qa(row):
    texts = [row[f"answer{letter}"] for letter in "ABC"]
    return choice(f"{row['context']} {row['question']}", texts, int(row["label"]) - 1)


def hellaswag(row):
    return choice(f"{row['activity_label']}: {row['ctx']}", row["endings"], int(row["label"]), "ending",
                  "Please choose the correct ending to complete the given sentence")


def winogrande(row):
    return choice(row["sentence"], [row["option1"], row["option2"]], int(row["answer"]) - 1, "option",
                  "Please choose the correct answer to fill in the blank to complete the given sentence")


def science(row):
    """ARC and OpenBookQA."""
    choices = row.get("choices") or row["question"]["choices"]
    if isinstance(choices, list):
        choices = {key: [one[key] for one in choices] for key in ("text", "label")}
    question = row.get("question_stem") or row["question"]
    question = question["stem"] if isinstance(question, dict) else question
    return choice(question, choices["text"], choices["label"].index(row["answerKey"]))


#: The reader of a row that has these fields.
READERS = {
    ("passage", "question"): boolq,
    ("goal", "sol1"): piqa,
    ("context", "answerA"): social_i_qa,
    ("ctx", "endings"): hellaswag,
    ("sentence", "option1"): winogrande,
    ("answerKey",): science,
}


def instruction(row, place):
    for fields, read in READERS.items():
        if all(field in row for field in fields):
            text, right = read(row)
            return {"instruction": text, "input": "", "output": f"the correct answer is {right}"}
    sys.exit(f"{place}: the fields {', '.join(row)} are those of none of the benchmarks")


def main(output, *folders):
    output.mkdir(parents=True, exist_ok=True)
    for split in ["train", "validation"]:
        rows = []
        for file in [folder / f"{split}.jsonl" for folder in folders]:
            if file.exists():
                lines = file.read_text(encoding="utf-8").splitlines()
                rows += [instruction(json.loads(line), f"{file}:{number}") for number, line in enumerate(lines, 1)]
        random.Random(0).shuffle(rows)
        if rows:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (output / f"{split}.jsonl").write_text(text, encoding="utf-8")
        print(f"{split}: {len(rows)} rows")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*map(pathlib.Path, sys.argv[1:]))
