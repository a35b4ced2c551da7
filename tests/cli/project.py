"""The real command line in a project of its own, and what it says when something is wrong."""

import contextlib
import io
import subprocess
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rectok.cli import main
from rectok.cli.main import app
from tests.command import run


def rectok(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `rectok <arguments>` in `folder`."""
    return run(folder, "rectok", *arguments)


def printed(*arguments: str) -> str:
    """What `rectok <arguments>` prints in the current folder and in this process, where it must succeed."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(folder: Path, *arguments: str) -> str:
    """The one sentence with which `rectok <arguments>` fails, having left everything below data/ as it was.

    It runs in this process, which has imported what it needs; `rectok` above starts one.
    """
    before = contents(folder / "data")
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors), warnings.catch_warnings():
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)  # as Python does by default
        patch.chdir(folder)
        patch.setattr("sys.argv", ["rectok", *arguments])
        with pytest.raises(SystemExit, match=r"^1$"):
            main.main()
    assert contents(folder / "data") == before
    return sentence(errors.getvalue())


def sentence(errors: str) -> str:
    """What stands behind `rectok: ` in the only line of `errors`."""
    lines = errors.splitlines()
    assert len(lines) == 1 and lines[0].startswith("rectok: "), errors
    return lines[0].removeprefix("rectok: ")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, but for remembered hashes and the locks, which only hold the process that had them last."""
    files = (path for path in folder.rglob("*") if path.is_file() and not {"locks", "hashes.sqlite"} & {*path.parts})
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
