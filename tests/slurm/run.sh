#!/usr/bin/env bash
# A study on a real Slurm, on this machine: submitted, one task asked to stop, others displaced by a job of higher priority,
# all of them requeued and continued, and the results compared with a study without Slurm.
#
#     apt-get install slurmctld slurmd slurm-client munge
#     cargo build --release --workspace
#     tests/slurm/run.sh [FOLDER]
#
# Needs root, for munge and slurmd; changes nothing outside FOLDER, by default a temporary one.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=${ADAMOLE:-${CARGO_TARGET_DIR:-$root/target}/release/adamole}
folder=$(realpath -m "${1:-$(mktemp -d)}")
mkdir -p "$folder"/{state,spool,munge}
cd "$root"

say() { printf '\n== %s\n' "$*"; }
daemons=()
# shellcheck disable=SC2317 # by the trap
finish() {
    kill "${daemons[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
}
trap finish EXIT

# munge, by a key and a socket of its own
chmod 755 "$folder"
chmod 700 "$folder/munge"
(umask 077 && head -c 1024 /dev/urandom >"$folder/munge/key")
munge_socket=$(mktemp -d)/munge.socket
munged --foreground --force --key-file="$folder/munge/key" --socket="$munge_socket" --pid-file="$folder/munge/pid" \
    --seed-file="$folder/munge/seed" --log-file="$folder/munge/log" --num-threads=2 2>"$folder/munge/out" &
daemons+=($!)

host=$(hostname -s)
cat >"$folder/slurm.conf" <<CONF
ClusterName=here
SlurmctldHost=$host
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$munge_socket
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=1,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
KillWait=30
NodeName=$host CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=study Nodes=$host Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime=30 MaxTime=UNLIMITED
PartitionName=urgent Nodes=$host PriorityTier=10 PreemptMode=off MaxTime=UNLIMITED
CONF
export SLURM_CONF=$folder/slurm.conf
slurmctld -D -c 2>"$folder/slurmctld.out" & daemons+=($!)
slurmd -D 2>"$folder/slurmd.out" & daemons+=($!)
for _ in $(seq 60); do sinfo --noheader 2>/dev/null | grep -q idle && break; sleep 1; done
sinfo

output=$folder/study
flags=(--preset tests/slurm/preset.toml --device cpu --program "$program")
log() { cat "$output"/slurm/logs/*.log; }
# Whether the log says so, within ten minutes.
until_logged() {
    for _ in $(seq 600); do
        if log 2>/dev/null | grep -q "$1"; then return; fi
        sleep 1
    done
    echo "never logged: $1"
    exit 1
}

say "submitted"
"$program" experiments "${flags[@]}" --output "$output" --slurm --slurm-cores 1 --slurm-limit 2 | tee "$folder/jobs"
trials=$(sed -n 's/^job \([0-9]*\): .*trials.*/\1/p' "$folder/jobs")
cells=$(sed -n 's/^job \([0-9]*\): .*cells.*/\1/p' "$folder/jobs")
squeue

say "a second submission is refused while the first is in the queue"
if "$program" experiments "${flags[@]}" --output "$output" --slurm; then exit 1; fi

say "a task is asked to stop, as at the end of its time"
run=$output/runs/base.copa.lora-rate=0.001.100/run
for _ in $(seq 600); do [ -e "$run/checkpoints" ] && break; sleep 1; done
# It tells of the first attempt, and tries again while the task goes back to the queue.
scancel --signal=TERM --batch "${trials}_0" 2>/dev/null || true
until_logged "lora-rate=0.001.100 ended with 143"
until_logged "lora-rate=0.001.100 on .*, start 2"

say "the cells are displaced by an urgent job"
until_logged "base.copa.lora.0 on "
run=$output/runs/base.copa.lora.0/run
for _ in $(seq 600); do [ -e "$run/checkpoints" ] && break; sleep 1; done
squeue
sbatch --parsable --partition=urgent --cpus-per-task=4 --time=5 --output="$folder/urgent.log" --wrap='sleep 15' >/dev/null
until_logged "base.copa.lora.0 ended with 143"
squeue
until_logged "base.copa.lora.0 on .*, start 2"

say "the end"
for _ in $(seq 1200); do [ -z "$(squeue --noheader)" ] && break; sleep 1; done
squeue
log
[ -e "$output/report.md" ]
grep -h "resuming after" "$output"/runs/*/train.log || true
sed -n '/^## What has not been run/,/^## /p' "$output/report.md"

say "the same without Slurm, and without a break"
"$program" experiments "${flags[@]}" --output "$folder/unbroken" --jobs 2
python3 - "$output" "$folder/unbroken" <<'PYTHON'
import json, pathlib, sys

def results(folder):
    cells = {path.name: json.loads(path.read_text()) for path in pathlib.Path(folder, "cells").iterdir()}
    kept = ("accuracy", "answers", "majority_accuracy")
    return {name: {key: cell["result"][key] for key in kept} for name, cell in cells.items()}

slurm, unbroken = map(results, sys.argv[1:])
assert slurm == unbroken and len(slurm) > 6, (slurm, unbroken)
print(f"{len(slurm)} cells have the same answers, item by item")
PYTHON
echo "job $cells and the others ended as they should"
