"""A stage does not outlive the `dvc repro` that runs it."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests import forked

CODE = """
import os, time
from rectok.lifetime import end_with_dvc
end_with_dvc(["out"])
print(os.getpid(), flush=True, file=open("pid", "w"))
time.sleep(600)
"""
STAGE = """
stages:
  waits:
    cmd: {command}
    outs: [out]
"""


def started(folder: Path, process: "subprocess.Popen[bytes]") -> psutil.Process:
    """The stage below `process`, once it has written its id."""
    file, deadline = folder / "pid", time.monotonic() + 60
    while not file.exists() or not file.read_text():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return psutil.Process(int(file.read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="pidfd is Linux's")
@pytest.mark.parametrize(
    ("shell", "command"),
    [("/bin/sh", "{python} stage.py"), ("/bin/bash", "({python} stage.py &); sleep 600")],
    ids=["below a shell", "without a parent"],
)
def test_a_stage_ends_with_its_dvc_that_was_killed(shell: str, command: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": forked.path(), "SHELL": shell}
    subprocess.run(("dvc", "init", "--no-scm", "--quiet"), cwd=tmp_path, env=environment, check=True)
    (tmp_path / "stage.py").write_text(CODE)
    (tmp_path / "dvc.yaml").write_text(STAGE.format(command=command.format(python=sys.executable)))
    process = subprocess.Popen(("dvc", "repro"), cwd=tmp_path, env=environment, start_new_session=True)
    stage = started(tmp_path, process)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs([stage], timeout=10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # the shell
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
