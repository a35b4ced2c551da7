"""The same works with the code of another commit, so that both run on the same machine within minutes."""

import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from subprocess import PIPE

from pydantic import ValidationError

from rectok.errors import UserError
from rectok.pipeline.process import run_to_end
from rectok.workloads.speed import Speed

REPOSITORY = Path(__file__).parents[2]


def speeds_at(commit: str, words: Sequence[str]) -> list[Speed]:
    """The records of `rectok bench` with the code of `commit` and these `words`, in the current folder.

    Raises UserError where git has no such commit, and where that code cannot do it, having said why.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "code.tar")
        made = run_to_end(
            ("git", "archive", f"--output={archive}", "--end-of-options", commit, "rectok"), REPOSITORY, stderr=PIPE
        )
        if made.returncode:
            raise UserError(f"--against {commit}: git cannot read it in {REPOSITORY}: {made.stderr.strip()}")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        # -P: the current folder, which may be a clone, must not come first.
        command = (sys.executable, "-P", "-m", "rectok.cli.main", "bench", *words, "--json")
        print(f"with the code of {commit}:", file=sys.stderr)
        done = run_to_end(command, Path.cwd(), {"PYTHONPATH": folder}, stdout=PIPE)
    try:
        speeds = [Speed.model_validate_json(line) for line in done.stdout.splitlines()]
    except ValidationError:
        raise UserError(f"--against {commit}: its bench prints other records than this one") from None
    if not speeds:
        raise UserError(f"--against {commit}: that code measured nothing; its message stands above")
    print("with this code:", file=sys.stderr)
    return speeds
