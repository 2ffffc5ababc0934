"""Holds a server to what the `openai` package expects of it.

    adamole serve --model MODEL --adapter NAME=DIR --port 8000
    python openai_client.py --base-url http://127.0.0.1:8000 [--model NAME ...] [--api-key KEY]

Each check is a function, of every model that is given, or of all that the server has. `--api-key` also checks that the server
refuses a request without the key."""

import argparse
import json
import math
import traceback

import openai
import requests

PROMPT = "The capital of France is"
MESSAGES = [{"role": "user", "content": "Name three colours, in one line."}]


def close(a, b, within=1e-4):
    return abs(a - b) <= within


def raises(kind, call, said=""):
    """The error of a call, which has to be of this kind and to say this."""
    try:
        call()
    except kind as error:
        assert said.lower() in str(error).lower(), f"{error} does not say {said!r}"
        return error
    except openai.APIError as error:
        raise AssertionError(f"expected {kind.__name__}, not {type(error).__name__}: {error}") from error
    raise AssertionError(f"expected {kind.__name__}")


def models_are_listed(client, model):
    entry = next(entry for entry in client.models.list().data if entry.id == model)
    assert entry.object == "model" and entry.created > 0 and entry.owned_by == "adamole", entry
    assert entry.max_model_len > 0, entry
    assert client.models.retrieve(model).id == model


def chat_answers(client, model):
    answer = client.chat.completions.create(model=model, messages=MESSAGES, max_tokens=12, temperature=0)
    [choice] = answer.choices
    assert answer.object == "chat.completion" and choice.message.role == "assistant" and choice.message.content, answer
    assert choice.finish_reason in ("stop", "length") and answer.usage.completion_tokens <= 12, answer
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer.usage


def a_stream_is_the_answer(client, model):
    settings = {"model": model, "messages": MESSAGES, "max_tokens": 12, "temperature": 0}
    whole = client.chat.completions.create(**settings)
    chunks = list(client.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content, (text, whole.choices[0].message.content)
    assert chunks[0].choices[0].delta.role == "assistant", chunks[0]
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == whole.choices[0].finish_reason and set(reasons[:-1]) <= {None}, reasons
    assert chunks[-1].usage == whole.usage and not chunks[-1].choices, chunks[-1]
    assert len({chunk.id for chunk in chunks}) == 1


def content_may_have_parts(client, model):
    parts = [{"role": "user", "content": [{"type": "text", "text": MESSAGES[0]["content"]}]}]
    ask = lambda messages: client.chat.completions.create(model=model, messages=messages, max_tokens=8, temperature=0)
    assert ask(parts).choices[0].message.content == ask(MESSAGES).choices[0].message.content


def a_seed_gives_the_same_answer_again(client, model):
    def ask(seed):
        answer = client.chat.completions.create(
            model=model, messages=MESSAGES, max_completion_tokens=16, temperature=1.5, seed=seed)
        return answer.choices[0].message.content
    assert ask(7) == ask(7)
    assert len({ask(seed) for seed in range(4)}) > 1


def chat_has_logprobs(client, model):
    answer = client.chat.completions.create(
        model=model, messages=MESSAGES, max_tokens=6, temperature=0, logprobs=True, top_logprobs=3)
    content = answer.choices[0].logprobs.content
    assert content and all(len(token.top_logprobs) == 3 for token in content), content
    for token in content:
        assert token.logprob <= 0 and close(token.logprob, token.top_logprobs[0].logprob), "the greedy token is the best one"
    text = b"".join(bytes(token.bytes) for token in content).decode(errors="replace")
    assert text.startswith(answer.choices[0].message.content), (text, answer.choices[0].message.content)


def routing_has_an_entry_for_each_token(client, model):
    entry = next(entry for entry in client.models.list().data if entry.id == model)
    linears = (entry.adamole or {}).get("linears")
    if not linears:
        return "no routed linear"
    settings = {"model": model, "messages": MESSAGES, "max_tokens": 8, "temperature": 0, "extra_body": {"routing": True}}
    answer = client.chat.completions.create(**settings)
    routing = answer.choices[0].routing
    ended = answer.choices[0].finish_reason == "stop"
    assert len(routing) == answer.usage.completion_tokens - (1 if ended and len(routing) < answer.usage.completion_tokens else 0)
    assert "".join(token["text"] for token in routing) == answer.choices[0].message.content, routing
    for token in routing:
        assert len(token["active"]) == len(linears), token
        assert all(0 <= count <= entry.adamole["experts"] for count in token["active"]), token
        assert (token["thresholds"] is not None) == entry.adamole["thresholds"], token
    streamed = [token for chunk in client.chat.completions.create(**settings, stream=True) for choice in chunk.choices
                for token in getattr(choice, "routing", None) or []]
    assert streamed == routing, "the routing of a stream is that of the answer"
    return f"{len(linears)} linears"


def completions_echo_with_logprobs(client, model):
    result = client.completions.create(model=model, prompt=PROMPT, max_tokens=0, echo=True, logprobs=2)
    [choice] = result.choices
    logprobs = choice.logprobs
    assert choice.text == PROMPT and "".join(logprobs.tokens) == PROMPT, choice
    assert logprobs.token_logprobs[0] is None and logprobs.top_logprobs[0] is None, logprobs
    assert all(value <= 0 for value in logprobs.token_logprobs[1:]), logprobs
    assert result.usage.completion_tokens == 0 and result.usage.prompt_tokens == len(logprobs.tokens), result.usage
    for start, token in zip(logprobs.text_offset, logprobs.tokens):
        assert PROMPT[start:start + len(token)] == token, logprobs
    # The same text as a continuation has the same log-probabilities.
    more = client.completions.create(model=model, prompt=PROMPT, max_tokens=3, temperature=0, echo=True, logprobs=2).choices[0]
    count = len(logprobs.tokens)
    assert more.text.startswith(PROMPT)
    assert all(close(a, b) for a, b in zip(more.logprobs.token_logprobs[1:count], logprobs.token_logprobs[1:])), "echo"
    again = client.completions.create(model=model, prompt=more.text, max_tokens=0, echo=True, logprobs=1).choices[0]
    if again.logprobs.tokens[:len(more.logprobs.tokens)] == more.logprobs.tokens:
        pairs = zip(more.logprobs.token_logprobs[1:], again.logprobs.token_logprobs[1:])
        assert all(close(a, b, 1e-3) for a, b in pairs), "generated and echoed"
    for top, value in zip(more.logprobs.top_logprobs[count:], more.logprobs.token_logprobs[count:]):
        assert close(max(top.values()), value), "the greedy token is the best one"
        assert sum(math.exp(each) for each in top.values()) <= 1.001


def prompts_have_many_forms(client, model):
    ids = requests.post(f"{client.base_url}tokenize", json={"model": model, "prompt": PROMPT},
                        headers={"Authorization": f"Bearer {client.api_key}"}, timeout=60).json()
    assert ids["count"] == len(ids["tokens"]) and ids["max_model_len"] > ids["count"], ids
    ask = lambda prompt: client.completions.create(model=model, prompt=prompt, max_tokens=6, temperature=0)
    [one] = ask(PROMPT).choices
    assert ask(ids["tokens"]).choices[0].text == one.text, "token ids"
    other = "Two and two make"
    several = ask([PROMPT, other, PROMPT])
    assert [choice.index for choice in several.choices] == [0, 1, 2]
    assert [choice.text for choice in several.choices] == [one.text, ask(other).choices[0].text, one.text], "several prompts"
    assert [choice.text for choice in ask([ids["tokens"]] * 2).choices] == [one.text] * 2, "several lists of token ids"
    chunks = list(client.completions.create(model=model, prompt=PROMPT, max_tokens=6, temperature=0, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == one.text, "stream"


def stop_strings_end_a_text(client, model):
    ask = lambda **settings: client.completions.create(model=model, prompt=PROMPT, max_tokens=20, temperature=0, **settings)
    text = ask().choices[0].text
    stop = text[len(text) // 2:len(text) // 2 + 3]
    assert stop, f"the model says too little: {text!r}"
    for value in (stop, ["not in the text", stop]):
        choice = ask(stop=value).choices[0]
        assert choice.text == text[:text.index(stop)] and choice.finish_reason == "stop", (choice, text, stop)
    chunks = list(ask(stop=stop, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == text[:text.index(stop)], "stream"


def errors_have_their_types(client, model):
    most = next(entry for entry in client.models.list().data if entry.id == model).max_model_len
    ask = lambda **other: client.chat.completions.create(**{"model": model, "messages": MESSAGES, "max_tokens": 2, **other})
    error = raises(openai.NotFoundError, lambda: ask(model="no-such-model"), "no-such-model")
    assert error.body["type"] == "not_found_error", error.body
    raises(openai.NotFoundError, lambda: client.models.retrieve("no-such-model"))
    long = {"model": model, "prompt": [5] * (most + 1), "max_tokens": 1}
    error = raises(openai.BadRequestError, lambda: client.completions.create(**long), str(most))
    assert error.body["type"] == "invalid_request_error", error.body
    raises(openai.BadRequestError, lambda: client.completions.create(model=model, prompt=[10**9], max_tokens=1))
    raises(openai.BadRequestError, lambda: client.completions.create(model=model, prompt=PROMPT, logprobs=21))
    for name, value in {
        "n": 2, "temperature": -1, "top_p": 1.5, "presence_penalty": 1.0, "frequency_penalty": 0.5, "logit_bias": {"5": 1},
        "response_format": {"type": "json_object"}, "top_logprobs": 21, "max_tokens": -1,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
    }.items():
        error = raises(openai.BadRequestError, lambda: ask(**{name: value}), name)
        assert error.body["type"] == "invalid_request_error", error.body
    raises(openai.BadRequestError, lambda: ask(extra_body={"no_such_setting": 1}), "no_such_setting")
    raises(openai.BadRequestError, lambda: ask(messages=[]), "messages")
    ask(user="someone", metadata={"a": "b"}, store=False, n=1, presence_penalty=0.0)
    root = str(client.base_url).rstrip("/")
    key = {"Authorization": f"Bearer {client.api_key}"}
    for body, header in (("{", {"Content-Type": "application/json"}), (json.dumps({"model": model}), {})):
        response = requests.post(f"{root}/chat/completions", data=body, headers={**key, **header}, timeout=60)
        assert 400 <= response.status_code < 500 and "error" in response.json(), response.text


def a_request_without_the_key_is_refused(client, model):
    stranger = openai.OpenAI(base_url=client.base_url, api_key="another", max_retries=0)
    for call in (stranger.models.list,
                 lambda: stranger.completions.create(model=model, prompt=PROMPT, max_tokens=1)):
        error = raises(openai.AuthenticationError, call)
        assert error.body["type"] == "authentication_error", error.body


CHECKS = [models_are_listed, chat_answers, a_stream_is_the_answer, content_may_have_parts, a_seed_gives_the_same_answer_again,
          chat_has_logprobs, routing_has_an_entry_for_each_token, completions_echo_with_logprobs, prompts_have_many_forms,
          stop_strings_end_a_text, errors_have_their_types]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", action="append", help="name of a model; all of the server's without it")
    parser.add_argument("--api-key")
    arguments = parser.parse_args()
    client = openai.OpenAI(base_url=f"{arguments.base_url.rstrip('/')}/v1", api_key=arguments.api_key or "none", max_retries=0)
    checks = CHECKS + ([a_request_without_the_key_is_refused] if arguments.api_key else [])
    failed = 0
    for model in arguments.model or [entry.id for entry in client.models.list().data]:
        for check in checks:
            name = check.__name__.replace("_", " ")
            try:
                note = check(client, model)
                print(f"ok    {model}: {name}" + (f" ({note})" if note else ""))
            except Exception as error:  # noqa: BLE001 - each check is reported
                failed += 1
                place = traceback.extract_tb(error.__traceback__)
                line = next(frame.lineno for frame in reversed(place) if frame.filename == __file__)
                print(f"FAIL  {model}: {name}: line {line}: {type(error).__name__}: {str(error)[:600]}")
    print(f"{failed} checks failed" if failed else "all checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
