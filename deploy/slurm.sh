#!/usr/bin/env bash
# A study on nodes that SLURM gives: `sbatch deploy/slurm.sh cifar10 --trials 50`. What follows the script goes to
# `hw2tune study`; the same line submitted again continues the study. docs/slurm.md explains it.
#SBATCH --job-name=hw2tune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem-per-cpu=2G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
# For GPUs add: #SBATCH --gpus-per-node=1
set -euo pipefail

# An environment with hw2tune in it, at one path on every node.
[[ -n ${HW2TUNE_ENV:-} ]] && export PATH="$HW2TUNE_ENV/bin:$PATH"
nodes=$SLURM_JOB_NUM_NODES
cpus=${SLURM_CPUS_PER_TASK:-1}
read -r head < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
port=${HW2TUNE_PORT:-$((20000 + SLURM_JOB_ID % 10000))} # jobs that share a node take different ones
wait_seconds=${HW2TUNE_WAIT:-300}

# A token that only this job knows: srun hands the environment on.
RAY_AUTH_TOKEN=$(python3 -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0

on() { # so many nodes, in the background: which, and what they run
  exec srun --nodes="$1" --ntasks="$1" --cpus-per-task="$cpus" "${@:2}"
}
# On each node, for sockets and logs of this job's Ray: a name that nobody knows beforehand, a folder that only this user
# may enter, and Ray's own one level below, since Ray lets every user write into that.
place=$(mktemp -u "/tmp/ray-$SLURM_JOB_ID-XXXXXX")
# shellcheck disable=SC2046,SC2329 # process ids are words; the trap calls it
end() {
  kill $(jobs -p) 2>/dev/null || true
  wait
  srun --nodes="$nodes" --ntasks="$nodes" rm -rf "$place"
}
trap end EXIT
srun --nodes="$nodes" --ntasks="$nodes" mkdir -m 700 "$place"

address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}'):$port
on 1 --nodelist="$head" ray start --head --node-ip-address="${address%:*}" --port="$port" --num-cpus="$cpus" \
  --include-dashboard=false --temp-dir="$place/r" --block >"ray-$SLURM_JOB_ID.log" 2>&1 &
up() { ray status --address="$address" 2>/dev/null | grep -c ' node_' || true; }
wait_for() { # until so many nodes are up
  local until=$((SECONDS + wait_seconds))
  while (($(up) < $1)); do
    ((SECONDS < until)) || { echo "slurm.sh: $(up) of $1 nodes up after $wait_seconds s; see ray-$SLURM_JOB_ID.log" >&2 && return 1; }
    sleep 2
  done
}
wait_for 1
if ((nodes > 1)); then
  on $((nodes - 1)) --exclude="$head" ray start --address="$address" --num-cpus="$cpus" \
    --block >>"ray-$SLURM_JOB_ID.log" 2>&1 &
  wait_for "$nodes"
fi

# SLURM's TERM, two minutes before the end, goes to this shell: the study ends in order, and 130 says so.
hw2tune study "$@" --address "$address" &
study=$!
trap 'kill -TERM "$study"' TERM INT
code=0
wait "$study" || code=$?
while kill -0 "$study" 2>/dev/null; do # a signal ends `wait`, not the study
  code=0
  wait "$study" || code=$?
done
exit "$code"
