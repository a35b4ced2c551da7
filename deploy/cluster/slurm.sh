#!/usr/bin/env bash
# `dvc repro` on several machines of a SLURM cluster, from a clone on a file system that all of them see:
#   sbatch deploy/cluster/slurm.sh [arguments of dvc repro]
# Set machine.hostfile: data/state/hosts and machine.processes: 0 in params.yaml. DeepSpeed starts trainings on every machine
# through pdsh and ssh. All other stages run on the first machine. Five minutes before the time is up, the training writes its
# checkpoint, and the job queues itself again and resumes.
#SBATCH --job-name=rectok
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=rectok-%j.log
#SBATCH --signal=B:USR1@300
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?this is a script for sbatch}"
export PATH="$PWD/.venv/bin:$PATH"

hosts=data/state/hosts
mkdir -p "$(dirname "$hosts")"
scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/\$/ slots=${SLURM_GPUS_ON_NODE:-1}/" > "$hosts"

# It has a process group of its own, because `dvc` ignores a signal while a stage runs. The stage does not.
set -m
dvc repro "$@" &
work=$!
trap 'again=yes; kill -INT -- "-$work"' USR1
trap 'kill -INT -- "-$work"' INT TERM
code=0
wait "$work" || code=$?
while kill -0 "$work" 2> /dev/null; do wait "$work" && code=0 || code=$?; done
if [ -n "${again:-}" ]; then
  scontrol requeue "$SLURM_JOB_ID"
  code=0
fi
exit "$code"
