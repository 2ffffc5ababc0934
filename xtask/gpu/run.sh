#!/usr/bin/env bash
# What needs a GPU, on a machine that has one: devices, golden numbers, resumed runs, precision, training steps, launches, generation, flat
# memory, and PEFT beside it. Needs no cargo, only built programs, so that it can be carried to a machine together with them:
#
#     xtask/gpu/run.sh --program adamole --device cuda --output gpu.json
#
#   --program FILE   the built program, with the backend of the device
#   --device NAME    cuda, vulkan or wgpu, with :INDEX for another than the first
#   --output FILE    where the result goes, one JSON object
#   --tests FILE     the built test program `devices`; without it, the parts that need it are skipped
#   --dtype TYPE     of the frozen weights [bfloat16 with cuda, else float32]
#   --small          shapes and tests for a device that is emulated in software
#   --only PART      only parts whose names begin so; may be repeated
#
# A part that fails is recorded by name and does not stop the others; the exit code is 1 if any failed. Weights are random and made on
# the device; nothing is downloaded.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program='' device='' output='' tests='' dtype='' small=false only=()
while [ $# -gt 0 ]; do
    case $1 in
    --program) program=$2 && shift ;;
    --device) device=$2 && shift ;;
    --output) output=$2 && shift ;;
    --tests) tests=$2 && shift ;;
    --dtype) dtype=$2 && shift ;;
    --only) only+=("$2") && shift ;;
    --small) small=true ;;
    *) echo "unknown argument $1" >&2 && exit 2 ;;
    esac
    shift
done
if [ -z "$program" ] || [ -z "$device" ] || [ -z "$output" ]; then
    echo "--program, --device and --output are needed" >&2
    exit 2
fi
case $device in
cuda*) dtype=${dtype:-bfloat16} ;;
*) dtype=${dtype:-float32} ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
entries=$work/entries
: >"$entries"
failures=0

# Text on stdin as a JSON string, in ASCII.
json_string() {
    local text
    text=$(LC_ALL=C tr -cd '\011\012\040-\176')
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    text=${text//$'\t'/ }
    printf '"%s"' "${text//$'\n'/\\n}"
}

# record NAME STATUS SECONDS REASON RESULT COMMAND...
record() {
    local name=$1 status=$2 seconds=$3 reason=$4 result=$5
    shift 5
    [ -s "$entries" ] && printf ',\n' >>"$entries"
    printf '{"name":"%s","status":"%s","seconds":%s,"command":%s,"reason":%s,"result":%s}' "$name" "$status" "$seconds" \
        "$(printf '%s ' "$@" | json_string)" "$(printf '%s' "$reason" | json_string)" "$result" >>"$entries"
    echo "$name: $status${reason:+: $(printf '%s' "$reason" | tail -n 1)}" >&2
    if [ "$status" = failed ]; then failures=$((failures + 1)); fi
}

wanted() {
    local part
    [ ${#only[@]} -eq 0 ] && return 0
    for part in "${only[@]}"; do [[ $1 == "$part"* ]] && return 0; done
    return 1
}

skip() { if wanted "$1"; then record "$1" skipped 0 "$2" null; fi; }

# part NAME CHECK LIMIT COMMAND...: runs the command for at most LIMIT seconds. Its result is the last line on stdout, where that is a
# JSON object. CHECK is a function that says what is wrong with it, or `:`.
part() {
    local name=$1 check=$2 limit=$3 started code result reason
    shift 3
    wanted "$name" || return 0
    echo "[$name] $*" >&2
    started=$(date +%s)
    timeout "$limit" "$@" >"$work/out" 2>"$work/err"
    code=$?
    result=$(tail -n 1 "$work/out")
    [[ $result == {*} ]] || result=null
    reason=''
    if [ $code -eq 124 ]; then
        reason="still running after $limit s"
    elif [ $code -ne 0 ]; then
        reason=$(tail -q -n 12 "$work/out" "$work/err")
        reason="exit code $code: $reason"
    else
        reason=$($check "$result")
    fi
    record "$name" "$([ -z "$reason" ] && echo passed || echo failed)" $(($(date +%s) - started)) "$reason" "$result" "$@"
}

# The number of this key in a JSON object.
number() { sed -n "s/.*[{,]\"$1\":\([0-9.eE+-]*\).*/\1/p" <<<"$2"; }

# The device's memory after all steps is that after the first ones, to 2 percent.
is_flat() {
    local warm last
    warm=$(number warm_device_memory_bytes "$1") last=$(number device_memory_bytes "$1")
    if [ -z "$warm" ] || [ -z "$last" ]; then
        echo "the device does not report its memory"
    elif [ "$last" -gt $((warm + warm / 50)) ]; then
        echo "memory of the device grew from $warm to $last bytes"
    fi
}

# tests NAME FILTER...: tests of devices whose names contain a filter.
device_tests() {
    local name=$1
    shift
    if [ -z "$tests" ]; then
        skip "$name" "needs --tests, the built test program"
    else
        part "$name" : 7200 env "ADAMOLE_TEST_DEVICE=$device" "$tests" --nocapture "$@"
    fi
}

cases=''
if $small; then
    # The shapes are folders with a config.json; the rest are names that the program knows.
    shapes=("$root/xtask/gpu/llama-narrow")
    golden=(golden_layers golden_models::models loss::)
    resumed=(resumed::a_resumed_run)
    cases=llama_gqa__ada_1
    step=(--batch 2 --micro-batch 1 --tokens 16 --warm-up 2 --steps 3)
    flat=(--batch 1 --tokens 16 --warm-up 3 --steps 20)
    generation=(--prompt-tokens 4 --new-tokens 4 --runs 1)
else
    shapes=(smollm2-135m llama-2-7b)
    golden=(golden_ families:: loss)
    resumed=(resumed::)
    step=(--batch 16 --micro-batch 4 --tokens 256 --warm-up 3 --steps 10)
    flat=(--batch 4 --tokens 256 --warm-up 3 --steps 200)
    generation=(--prompt-tokens 32 --new-tokens 64 --runs 2)
fi
if [ -n "$cases" ]; then export ADAMOLE_TEST_CASES=$cases; fi

part devices : 300 "$program" devices --format json
device_tests golden "${golden[@]}"
device_tests frozen frozen::
device_tests resumed "${resumed[@]}"
device_tests precision precision::
for shape in "${shapes[@]}"; do
    name=$(basename "$shape")
    on=(--shape "$shape" --dtype "$dtype" --device "$device" --format json)
    part "step $name lora" : 1800 "$program" bench step "${on[@]}" "${step[@]}" --method lora
    part "step $name adamole" : 1800 "$program" bench step "${on[@]}" "${step[@]}" --method adamole
    part "step $name mole" : 1800 "$program" bench step "${on[@]}" "${step[@]}" --method mole --top-k 2
    part "step $name adamole, no dropout" : 1800 "$program" bench step "${on[@]}" "${step[@]}" --method adamole --dropout 0
    part "step $name adamole, checkpointed blocks" : 1800 \
        "$program" bench step "${on[@]}" "${step[@]}" --method adamole --checkpoint-blocks
    part "launches $name adamole" : 1800 "$program" bench step "${on[@]}" "${step[@]}" --method adamole --profile
    part "generation $name adamole" : 1800 "$program" bench generate "${on[@]}" "${generation[@]}" --method adamole
    part "flat $name adamole" is_flat 3600 "$program" bench step "${on[@]}" "${flat[@]}" --method adamole
done
if ! python3 -c 'import torch, peft, transformers' 2>/dev/null; then
    skip peft "python3 has no torch, peft and transformers"
elif [[ $device != cuda* ]] || ! python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    skip peft "torch has no such device"
else
    for name in "${shapes[@]}"; do
        known=$root/crates/adamole-llama/src/config/known.json
        mkdir -p "$work/$name"
        python3 -c 'import json, sys; json.dump(json.load(open(sys.argv[1]))[sys.argv[2]], open(sys.argv[3], "w"))' \
            "$known" "$name" "$work/$name/config.json"
        part "peft $name lora" : 1800 python3 "$root/xtask/peers/peft_step.py" --shape "$work/$name" --dtype "$dtype" \
            --device cuda --threads 1 "${step[@]}"
    done
fi

line() { "$@" 2>/dev/null | head -n 1 | json_string; }
{
    printf '{"format":1,"device":"%s","dtype":"%s","small":%s,' "$device" "$dtype" "$small"
    printf '"date":"%s","program":%s,' "$(date -u +%F)" "$(line "$program" --version)"
    printf '"driver":%s,"parts":[\n' "$(line nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader)"
    cat "$entries"
    printf '\n]}\n'
} >"$work/result" && mv "$work/result" "$output"
echo "$output: $failures failed" >&2
[ $failures -eq 0 ]
