"""Measures a server under load: requests and tokens a second, and the time to the first token.

    python load.py --base-url http://127.0.0.1:8000 [--model NAME ...] [--clients 1 8 32] [--requests 64]

Clients are threads, each with one request at a time; requests go to the models in turn. Every request asks for the same number
of new tokens from a prompt of its own, as a stream. Prints a Markdown table, and with `--json FILE` writes the numbers."""

import argparse
import http.client
import itertools
import json
import math
import statistics
import threading
import time
import urllib.parse

WORDS = "the rope was cut so it fell to the ground and nobody saw who had done it before morning".split()


class Client:
    def __init__(self, arguments):
        self.arguments = arguments
        self.url = urllib.parse.urlsplit(arguments.base_url)
        self.headers = {"Content-Type": "application/json"}
        if arguments.api_key:
            self.headers["Authorization"] = f"Bearer {arguments.api_key}"

    def models(self):
        connection = http.client.HTTPConnection(self.url.netloc, timeout=30)
        connection.request("GET", "/v1/models", headers=self.headers)
        return [entry["id"] for entry in json.load(connection.getresponse())["data"]]

    def ask(self, model, number):
        """Seconds to the first token and to the end, and the number of new tokens."""
        place = number % len(WORDS)
        prompt = f"{number}: " + " ".join((WORDS[place:] + WORDS[:place]) * 4)[:self.arguments.prompt_characters]
        body = {"model": model, "prompt": prompt, "max_tokens": self.arguments.tokens, "temperature": 0, "stream": True,
                "ignore_eos": True, "stream_options": {"include_usage": True}}
        connection = http.client.HTTPConnection(self.url.netloc, timeout=self.arguments.timeout)
        start, first, tokens, chunks = time.perf_counter(), None, None, 0
        try:
            connection.request("POST", "/v1/completions", json.dumps(body), self.headers)
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError(f"{response.status} {response.read()[:200].decode(errors='replace')}")
            for line in response:
                if not line.startswith(b"data:") or line.strip() == b"data: [DONE]":
                    continue
                chunk = json.loads(line[5:])
                if "error" in chunk:
                    raise RuntimeError(chunk["error"]["message"])
                chunks += bool(chunk["choices"] and chunk["choices"][0]["text"])
                if first is None and chunk["choices"]:
                    first = time.perf_counter() - start
                tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
        finally:
            connection.close()
        # Servers that do not say how many tokens there were send one in each chunk.
        return first or math.nan, time.perf_counter() - start, chunks if tokens is None else tokens


def measured(client, models, clients, arguments):
    numbers, results, errors, lock = itertools.count(), [], [], threading.Lock()
    end = time.monotonic() + arguments.limit

    def work():
        while time.monotonic() < end:
            with lock:
                number = next(numbers)
            if number >= arguments.requests:
                return
            try:
                found = client.ask(models[number % len(models)], number)
                with lock:
                    results.append(found)
            except Exception as error:  # noqa: BLE001 - counted and shown
                with lock:
                    errors.append(f"{type(error).__name__}: {error}")

    start = time.perf_counter()
    threads = [threading.Thread(target=work, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - start
    firsts = sorted(first for first, _, _ in results) or [math.nan]
    return {
        "clients": clients, "requests": len(results), "failed": len(errors), "errors": sorted(set(errors))[:3],
        "seconds": seconds, "requests_per_second": len(results) / seconds,
        "tokens_per_second": sum(tokens for _, _, tokens in results) / seconds,
        "first_token_median": statistics.median(firsts),
        "first_token_p95": firsts[min(len(firsts) - 1, math.ceil(0.95 * len(firsts)) - 1)],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", action="append", help="name of a model; all of the server's without it")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--requests", type=int, default=64, help="requests at each number of clients")
    parser.add_argument("--tokens", type=int, default=32, help="new tokens of a request")
    parser.add_argument("--prompt-characters", type=int, default=200)
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one request")
    parser.add_argument("--limit", type=float, default=300, help="seconds at each number of clients")
    parser.add_argument("--api-key")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    client = Client(arguments)
    models = arguments.model or client.models()
    client.ask(models[0], 0)  # what is made on the first request is not measured
    rows = [measured(client, models, clients, arguments) for clients in arguments.clients]
    print(f"{len(models)} models in turn, {arguments.tokens} new tokens of a prompt of about {arguments.prompt_characters} "
          "characters\n")
    print("| clients | requests | failed | requests/s | tokens/s | first token, median | 95 % |\n|---:|---:|---:|---:|---:|---:|---:|")
    for row in rows:
        print(f"| {row['clients']} | {row['requests']} | {row['failed']} | {row['requests_per_second']:.2f} | "
              f"{row['tokens_per_second']:.1f} | {1000 * row['first_token_median']:.0f} ms | "
              f"{1000 * row['first_token_p95']:.0f} ms |")
    for row in rows:
        for error in row["errors"]:
            print(f"{row['clients']} clients: {error}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"models": models, "tokens": arguments.tokens, "rows": rows}, file, indent=2)
    return 1 if any(row["failed"] for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
