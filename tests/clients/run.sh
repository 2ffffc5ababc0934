#!/usr/bin/env bash
# Clients of others against `adamole serve`: `tests/clients/run.sh PROGRAM MODEL BENCHMARK DATA NAME=ADAPTER...`. PROGRAM is the
# `adamole` program, MODEL a folder, BENCHMARK and DATA the items that lm-evaluation-harness scores, and at least one adapter has to
# route. The Python packages of requirements.txt come from PyPI into a virtual environment outside the clone
# (ADAMOLE_CLIENTS_ENV, else a folder in the cache), some gigabytes with torch. The page needs a Chromium (`apt install chromium`);
# ADAMOLE_SKIP_PAGE=1 leaves it out where there is none. ADAMOLE_ITEMS is the number of items (100), of which transformers computes
# ADAMOLE_TRANSFORMERS_ITEMS (20); pictures of the page and the numbers of the load go to the folder ADAMOLE_OUTPUT, else one that is
# removed.
set -euo pipefail
cd "$(dirname "$0")/../.."

program="$1" model="$2" benchmark="$3" data="$4"
shift 4
environment="${ADAMOLE_CLIENTS_ENV:-$HOME/.cache/adamole-clients}"
items="${ADAMOLE_ITEMS:-100}"
temporary="$(mktemp -d)"
output="${ADAMOLE_OUTPUT:-$temporary}"
server=""
trap 'if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi; rm -rf "$temporary"' EXIT
mkdir -p "$output"

if [ ! -x "$environment/bin/python" ]; then
    python3 -m venv "$environment"
fi
python="$environment/bin/python"
"$python" -c 'import lm_eval, openai, playwright, safetensors, tenacity, torch, transformers' 2>/dev/null ||
    "$environment/bin/pip" install --quiet -r tests/clients/requirements.txt

base="$(basename "$model")"
of_items=(--model "$model" --benchmark "$benchmark" --data "$data" --limit "$items")
"$program" items "${of_items[@]}" --tokens --format json >"$temporary/items.jsonl"
"$program" evaluate "${of_items[@]}" --predictions "$temporary/$base.jsonl"
harness=(--model "$base" "$temporary/$base.jsonl" --transformers "$base")
serve=()
for adapter in "$@"; do
    name="${adapter%%=*}" folder="${adapter#*=}"
    "$program" evaluate "${of_items[@]}" --adapter "$folder" --predictions "$temporary/$name.jsonl"
    if [ -d "$folder/adapter" ]; then folder="$folder/adapter"; fi
    harness+=(--model "$name" "$temporary/$name.jsonl" --transformers "$name=$folder")
    serve+=(--adapter "$adapter")
done

# Starts a server, and sets `server` and `url`.
start() {
    "$program" serve --model "$model" "${serve[@]}" --port 0 "$@" 2>"$temporary/server.log" &
    server=$!
    url=""
    while [ -z "$url" ]; do
        kill -0 "$server" || { cat "$temporary/server.log"; exit 1; }
        sleep 0.2
        url="$(sed -n 's/^.*listening at \(http:.*\)$/\1/p' "$temporary/server.log")"
    done
}
stop() {
    kill "$server"
    wait "$server" || true
    server=""
}

start --api-key a-key
"$python" tests/clients/openai_client.py --base-url "$url" --api-key a-key
stop
start
"$python" tests/clients/harness.py --base-url "$url" --folder "$model" --items "$temporary/items.jsonl" "${harness[@]}" \
    --transformers-limit "${ADAMOLE_TRANSFORMERS_ITEMS:-20}"
"$python" tests/clients/page/page.py --base-url "$url" --pictures "$output" ${ADAMOLE_SKIP_PAGE:+--allow-skip}
"$python" tests/clients/load.py --base-url "$url" --json "$output/load.json"
stop
