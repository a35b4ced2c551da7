"""A stage does not outlive the `dvc repro` that runs it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests import forked

CODE = """
import os, time
from rectok.lifetime import end_with_dvc
end_with_dvc()
print(os.getpid(), flush=True, file=open("pid", "w"))
time.sleep(60)
"""
STAGE = """
stages:
  waits:
    cmd: python3 stage.py
"""


def started(folder: Path, process: "subprocess.Popen[bytes]") -> psutil.Process:
    """The stage below `process`, once it has written its id."""
    file, deadline = folder / "pid", time.monotonic() + 60
    while not file.exists() or not file.read_text():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return psutil.Process(int(file.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_stage_is_gone_within_a_second_after_its_dvc_was_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": forked.path()}
    subprocess.run(("dvc", "init", "--no-scm", "--quiet"), cwd=tmp_path, env=environment, check=True)
    (tmp_path / "stage.py").write_text(CODE)
    (tmp_path / "dvc.yaml").write_text(STAGE.replace("python3", sys.executable))
    process = subprocess.Popen(("dvc", "repro"), cwd=tmp_path, env=environment, start_new_session=True)
    stage = started(tmp_path, process)
    dvc = next(parent for parent in stage.parents() if "dvc" in " ".join(parent.cmdline()))
    dvc.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs([stage], timeout=1)
    process.kill()
    process.wait()
    # Where nothing collects orphans, as in some containers, it stays in the table as a zombie.
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def test_a_stage_without_dvc_outlives_its_shell(tmp_path: Path) -> None:
    """As with nohup: what a person starts is not ended with its parent."""
    (tmp_path / "stage.py").write_text(CODE)
    environment = {name: value for name, value in os.environ.items() if name != "DVC_STAGE"}
    shell = subprocess.Popen(("sh", "-c", f"{sys.executable} stage.py; true"), cwd=tmp_path, env=environment)
    stage = started(tmp_path, shell)
    shell.kill()
    shell.wait()
    try:
        assert psutil.wait_procs([stage], timeout=0.5)[1] == [stage]
    finally:
        stage.kill()
