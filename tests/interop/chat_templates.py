"""Compares `adamole template` with transformers on random conversations, for every template of a folder.

    python chat_templates.py PROGRAM TEMPLATES [--count N] [--seed S] [--show K]

PROGRAM is the adamole program, TEMPLATES a folder with *.jinja files. It needs transformers 5, and is run by hand.
Texts, whether there is an error, messages of `raise_exception` and the spans of generation blocks have to be equal.
"""

import argparse
import datetime
import json
import random
import subprocess
import sys
from pathlib import Path
from unittest import mock

import jinja2
from transformers.utils import chat_template_utils
from transformers.utils.chat_template_utils import _normalize_chat_messages, render_jinja_template

ROLES = ["user", "assistant", "system", "tool"]
WORDS = ["hello", "World", "é", "日本語", "🙂", "<b>", "\"q\"", "it's", "{{ x }}", "{% y %}", "\\n", "\t", "\n", "\r\n",
         "  ", "</think>", "<think>", "/no_think", "/think", "/system_override", "<tool_response>", "</tool_response>",
         "<|im_end|>", "\u2028", "\u00a0", "\x1c", "\x7f", "a,b", "[1]", "None", "\u200b", "e\u0301", "ß", "%s", "{0}"]
STRANGE = [None, 0, 1, -3, 2.5, 1e-7, 1e20, 5.0, True, False, [], {}, ["a", 1], {"a": None}, 12345678901234567890, ""]


def text(r):
    kind = r.random()
    if kind < 0.08:
        return ""
    if kind < 0.25:
        return " " * r.randrange(3) + r.choice(WORDS) + "\n" * r.randrange(3)
    if kind < 0.35:
        return "<think>\n" + r.choice(WORDS) + "\n</think>\n\n" + r.choice(WORDS)
    return " ".join(r.choice(WORDS) for _ in range(r.randrange(1, 8)))


def value(r, depth=0):
    kind = r.random()
    if kind < 0.35:
        return text(r)
    if kind < 0.75 or depth > 2:
        return r.choice(STRANGE)
    if kind < 0.88:
        return [value(r, depth + 1) for _ in range(r.randrange(4))]
    return {r.choice(["b", "a", "é", "return", "items", "x y", "type"]): value(r, depth + 1) for _ in range(r.randrange(4))}


def content(r):
    kind = r.random() * (1 if r.strange else 0.82)
    if kind < 0.8:
        return text(r)
    if kind < 0.92:
        parts = [{"type": "text", "text": text(r)}, {"type": "image"}, {"type": "text"}, text(r), {"text": value(r)}]
        return [r.choice(parts) for _ in range(r.randrange(4))]
    return value(r)


def arguments(r):
    return r.choice([text(r), {"city": text(r), "n": r.choice(STRANGE)}, {}, {"b": [1.0, 2], "a": {"z": None}}, value(r)])


def call(r):
    function = {"name": r.choice(["get_weather", "code_interpreter", "f", "é"]), "arguments": arguments(r)}
    if r.strange and r.random() < 0.1:
        function.pop(r.choice(list(function)))
    made = {"type": "function", "id": r.choice(["abcdefghi", "123456789", "x", "call_1"]), "function": function}
    for key in list(made):
        if r.strange and r.random() < 0.08:
            made.pop(key)
    return made if r.random() < 0.9 else function


def message(r, role):
    made = {"role": role, "content": content(r)}
    if role == "assistant":
        if r.random() < 0.3:
            made["tool_calls"] = [call(r) for _ in range(r.choice([1, 1, 1, 2, 0]))]
            if r.random() < 0.4:
                made["content"] = r.choice([None, ""])
        if r.random() < 0.2:
            made[r.choice(["reasoning_content", "thinking", "reasoning"])] = r.choice([text(r), None, "", value(r)])
    if role == "tool":
        if r.random() < 0.8:
            made["tool_call_id"] = r.choice(["abcdefghi", "123456789", "x"])
        if r.random() < 0.7:
            made["name"] = r.choice(["get_weather", "f"])
        if r.random() < 0.3:
            made["content"] = r.choice([{"content": text(r)}, {"temperature": 21.5, "unit": "C"}, [1, {"a": 2.0}], 3])
    if r.strange and r.random() < 0.05:
        made.pop("content")
    if r.strange and r.random() < 0.1:
        made[r.choice(["name", "extra", "tool_calls", "weight"])] = value(r)
    return made


def schema(r, depth=0):
    made = {"type": r.choice(["string", "number", "integer", "boolean", "array", "object", ["string", "null"], "odd"])}
    if r.random() < 0.8:
        made["description"] = text(r)
    if made["type"] == "array" and r.random() < 0.7 and depth < 2:
        made["items"] = schema(r, depth + 1)
    if made["type"] == "object" and r.random() < 0.5 and depth < 2:
        made["additionalProperties"] = schema(r, depth + 1)
    if r.random() < 0.2:
        made["enum"] = r.choice([["a", "b"], [1, 2.0, None], [True]])
    return made


def tool(r):
    properties = {name: schema(r) for name in r.sample(["city", "unit", "n", "é", "deep"], r.randrange(4))}
    function = {"name": r.choice(["get_weather", "f"]), "description": text(r),
                "parameters": {"type": "object", "properties": properties, "required": list(properties)[:1]}}
    if r.random() < 0.25:
        function["return"] = schema(r)
    if r.strange and r.random() < 0.1:
        function.pop(r.choice(list(function)))
    if r.random() < 0.1:
        function["strict"] = r.choice(STRANGE)
    return {"type": "function", "function": function} if r.random() < 0.9 else function


def roles(r):
    start = ["system"] if r.random() < 0.4 else []
    kind = r.random() * (1 if r.strange else 0.85)
    if kind < 0.6:
        turns = ["user", "assistant"] * r.randrange(1, 4)
        turns = turns[: len(turns) - r.randrange(2)]
    elif kind < 0.8:
        turns = ["user", "assistant", "tool", "assistant", "user", "assistant", "tool", "tool"][: r.randrange(1, 9)]
    else:
        turns = [r.choice([*ROLES, "function", "ipython", "tool_results", ""]) for _ in range(r.randrange(5))]
    return start + turns


def conversation(r):
    # Half of the conversations are such as templates expect, the others have odd values and lack keys.
    r.strange = r.random() < 0.5
    made = {"messages": [message(r, role) for role in roles(r)], "add_generation_prompt": r.random() < 0.5}
    if r.random() < 0.35:
        made["tools"] = [tool(r) for _ in range(r.choice([1, 1, 2, 0]))]
    if r.random() < 0.1:
        made["documents"] = [{"title": text(r), "text": text(r)}]
    made["bos_token"] = r.choice(["<s>", "<|begin|>", "", None])
    made["eos_token"] = r.choice(["</s>", "<|end|>", None])
    made["now"] = r.choice(["2024-07-26T12:30:00", "2025-01-05T01:02:03", "2026-11-30T23:59:59"])
    extra = {}
    choices = {"enable_thinking": [True, False, None, "no"], "date_string": ["1 Jan 2025", None, 3],
               "tools_in_user_message": [True, False], "builtin_tools": [["code_interpreter", "f"], [], "f", None, 3],
               "custom_tools": [[tool(r)], None, []], "xml_tools": [[tool(r)]], "python_tools": [["f", {"a": True}]]}
    for name, values in choices.items():
        if r.random() < 0.12:
            extra[name] = r.choice(values)
    made["extra"] = extra
    return made


def expected(source, made):
    """What transformers renders, as `apply_chat_template` calls it."""
    variables = {name: made[name] for name in ("bos_token", "eos_token") if made[name] is not None} | made["extra"]
    now = datetime.datetime.fromisoformat(made["now"])
    clock = mock.Mock(wraps=datetime.datetime)
    clock.now = lambda: now
    try:
        with mock.patch.object(chat_template_utils, "datetime", clock):
            texts, spans = render_jinja_template(
                [_normalize_chat_messages(made["messages"])], tools=made.get("tools"), documents=made.get("documents"),
                chat_template=source, return_assistant_tokens_mask=True,
                add_generation_prompt=made["add_generation_prompt"], **variables)
        return {"text": texts[0], "chars": [list(span) for span in spans[0]]}
    except Exception as error:  # noqa: BLE001 - whatever it is, ours has to be an error too
        raised = type(error) is jinja2.exceptions.TemplateError
        return {"error": f"{type(error).__name__}: {error}", "raised": str(error) if raised else None}


def difference(theirs, ours):
    if "error" in theirs or "error" in ours:
        if ("error" in theirs) != ("error" in ours):
            return True
        return theirs["raised"] is not None and theirs["raised"] not in ours["error"]
    spans = ours["generated_chars"] if ours["spans_by"] == "generation" else []
    return theirs["text"] != ours["text"] or (spans is not None and theirs["chars"] != spans)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("templates", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=3)
    options = parser.parse_args()
    total = errors = differences = 0
    for path in sorted(options.templates.glob("*.jinja")):
        r = random.Random(f"{options.seed} {path.name}")
        source = path.read_text()
        cases = [conversation(r) for _ in range(options.count)]
        lines = "".join(json.dumps(case) + "\n" for case in cases)
        run = subprocess.run([options.program, "template", "--template", str(path)], input=lines.encode(), capture_output=True)
        answers = [json.loads(line) for line in run.stdout.decode().split("\n") if line]
        if len(answers) != len(cases):
            sys.exit(f"{path.name}: {len(answers)} answers for {len(cases)} lines: {run.stderr.decode()}")
        shown = 0
        for case, ours in zip(cases, answers):
            theirs = expected(source, case)
            total += 1
            errors += "error" in theirs
            if difference(theirs, ours):
                differences += 1
                shown += 1
                if shown <= options.show:
                    print(f"{path.name}: {json.dumps(case)}\n  transformers: {theirs}\n  adamole:      {ours}")
    print(f"{total} renderings, {errors} errors of transformers, {differences} differences")
    sys.exit(differences > 0)


if __name__ == "__main__":
    main()
