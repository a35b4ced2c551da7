"""The SLURM script with a scheduler of two lines: it writes the hostfile, hands a signal on, and queues itself again."""

import os
import signal
import subprocess
import time
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy" / "cluster" / "slurm.sh"
SCONTROL = """#!/bin/sh
echo "$@" >> asked
[ "$1" = show ] && printf 'node-1\\nnode-2\\n' || true
"""
# As a training below `dvc`: dvc ignores the signal, the training ends after its checkpoint.
DVC = """#!/usr/bin/env bash
echo "$@" > repro
trap '' INT
python3 -c '
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, lambda *_: (pathlib.Path("checkpoint").touch(), sys.exit(1)))
pathlib.Path("training").touch()
end = time.monotonic() + float(pathlib.Path("seconds").read_text())
while time.monotonic() < end: time.sleep(0.05)
' || exit 255
"""


def start(folder: Path, seconds: float) -> "subprocess.Popen[bytes]":
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name, text in {"scontrol": SCONTROL, "dvc": DVC}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (folder / "seconds").write_text(str(seconds))
    job = {"SLURM_SUBMIT_DIR": str(folder), "SLURM_JOB_NODELIST": "node-[1-2]", "SLURM_JOB_ID": "7"}
    environment = {**os.environ, **job, "SLURM_GPUS_ON_NODE": "8"}
    return subprocess.Popen(["bash", str(SCRIPT), "dit", "--force"], env=environment, cwd=folder)


def training(folder: Path) -> "subprocess.Popen[bytes]":
    """A job whose training has begun."""
    job = start(folder, 60)
    while not (folder / "training").exists():
        assert job.poll() is None
        time.sleep(0.05)
    return job


def test_it_writes_the_hostfile_and_reproduces(tmp_path: Path) -> None:
    assert start(tmp_path, 0).wait(60) == 0
    assert (tmp_path / "data/state/hosts").read_text() == "node-1 slots=8\nnode-2 slots=8\n"
    assert (tmp_path / "repro").read_text() == "repro dit --force\n"
    assert (tmp_path / "asked").read_text() == "show hostnames node-[1-2]\n"


def test_when_its_time_is_up_the_training_keeps_a_checkpoint_and_the_job_is_queued_again(tmp_path: Path) -> None:
    job = training(tmp_path)
    job.send_signal(signal.SIGUSR1)
    assert job.wait(60) == 0
    assert (tmp_path / "checkpoint").exists()
    assert (tmp_path / "asked").read_text().splitlines()[-1] == "requeue 7"


def test_a_failure_is_a_failure(tmp_path: Path) -> None:
    job = training(tmp_path)
    job.send_signal(signal.SIGTERM)
    assert job.wait(60) == 255
    assert "requeue" not in (tmp_path / "asked").read_text()
