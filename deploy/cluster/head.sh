#!/usr/bin/env bash
# `rectok repro` with `machine.executor: slurm` as a job of its own, for pipelines that take longer than a login node allows:
#   sbatch deploy/cluster/head.sh [arguments of rectok repro]
# Two minutes before its time is up it queues itself again. The jobs that it has queued run on, and it finds them again.
# `scancel` ends it together with its jobs.
#SBATCH --job-name=rectok-head
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=rectok-head-%j.log
#SBATCH --signal=B:USR1@120
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?this is a script for sbatch}"
export PATH="$PWD/.venv/bin:$PATH"

rectok repro "$@" &
work=$!
# SIGTERM would cancel its jobs, so it gets SIGKILL.
trap 'trap "" TERM; kill -KILL "$work"; scontrol requeue "$SLURM_JOB_ID"; sleep infinity' USR1
trap 'kill -TERM "$work"' TERM
code=0
wait "$work" || code=$?
while kill -0 "$work" 2> /dev/null; do wait "$work" && code=0 || code=$?; done
exit "$code"
