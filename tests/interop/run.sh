#!/usr/bin/env bash
# Exchanges adapters with Hugging Face PEFT and transformers: `tests/interop/run.sh [PROGRAM]`. The Python packages come from PyPI into a
# virtual environment outside the clone (ADAMOLE_INTEROP_ENV, else a folder in the cache), about five gigabytes with the
# libraries that torch brings along; PROGRAM is the `adamole` program, built here where it is not given.
set -euo pipefail
cd "$(dirname "$0")/../.."

program="${1:-}"
if [ -z "$program" ]; then
    cargo build --release --workspace
    program="${CARGO_TARGET_DIR:-target}/release/adamole"
fi
environment="${ADAMOLE_INTEROP_ENV:-$HOME/.cache/adamole-interop}"
if [ ! -x "$environment/bin/python" ]; then
    python3 -m venv "$environment"
fi
"$environment/bin/python" -c 'import peft, safetensors, torch, transformers' 2>/dev/null ||
    "$environment/bin/pip" install --quiet torch transformers peft safetensors
"$environment/bin/python" tests/interop/exchange.py "$program"
"$environment/bin/python" tests/interop/python_loader.py "$program"
"$environment/bin/python" tests/interop/python_methods.py
