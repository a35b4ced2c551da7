"""The real command line in a project of its own, and what it says when something is wrong."""

import os
import subprocess
from pathlib import Path

from tests import forked


def rectok(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `rectok <arguments>` in `folder`."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [f"{forked.commands()}/rectok", *arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def refused(folder: Path, *arguments: str) -> str:
    """The one sentence with which `rectok <arguments>` fails, having left everything below data/ as it was."""
    before = contents(folder / "data")
    done = rectok(folder, *arguments)
    assert done.returncode == 1, done.stdout + done.stderr
    assert contents(folder / "data") == before
    return sentence(done.stderr)


def sentence(errors: str) -> str:
    """What stands behind `rectok: ` in the only line of `errors`."""
    lines = errors.splitlines()
    assert len(lines) == 1 and lines[0].startswith("rectok: "), errors
    return lines[0].removeprefix("rectok: ")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, but for the locks, which only hold the process that had them last."""
    files = (path for path in folder.rglob("*") if path.is_file() and "locks" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
