"""Commands in a folder, as their users run them."""

import os
import subprocess
from pathlib import Path

from tests import forked


def run(folder: Path, *command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """How a command ended in `folder`, and what it printed; `rectok` is the one that starts at once."""
    env = {**os.environ, "PATH": forked.path(), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, cwd=folder, env=env, text=True, capture_output=True, check=False)


def must(folder: Path, *command: str, **environment: str) -> str:
    """What a command printed that had to succeed."""
    done = run(folder, *command, **environment)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
