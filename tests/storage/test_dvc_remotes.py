"""`dvc push` and `dvc pull` to a folder and to a bucket, with the real command."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forked
from tests.storage.server import BUCKET, running

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PIPELINE = "stages: {make: {cmd: python make.py, deps: [make.py], outs: [data/made]}}\n"
MAKE = """import pathlib
folder = pathlib.Path("data/made/deep")
folder.mkdir(parents=True)
for number in range(3):
    (folder / str(number)).write_text("x" * number)
"""


def dvc(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run dvc in `folder`, its stages with this Python."""
    (folder / "aws").touch()
    env = {**os.environ, "AWS_CONFIG_FILE": str(folder / "aws"), "PATH": forked.path()}
    return subprocess.run(["dvc", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False)


def succeeded(folder: Path, *arguments: str) -> str:
    process = dvc(folder, *arguments)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def project(folder: Path, remote: str) -> Path:
    """A stage and a remote, with this project's links and switches."""
    (folder / ".dvc").mkdir(parents=True)
    settings = (ROOT / ".dvc" / "config").read_text().replace("[core]", "[core]\n    no_scm = true\n    remote = store")
    (folder / ".dvc" / "config").write_text(f"{settings}\n['remote \"store\"']\n    {remote}\n")
    (folder / "make.py").write_text(MAKE)
    (folder / "dvc.yaml").write_text(PIPELINE)
    return folder


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, running(patch) as server:
        yield server.meta.endpoint_url


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_artefacts_go_to_a_remote_and_come_back(kind: str, tmp_path: Path, endpoint: str) -> None:
    bucket = f"url = s3://{BUCKET}/dvc\n    endpointurl = {endpoint}"
    here = project(tmp_path / "project", bucket if kind == "bucket" else f"url = {tmp_path / 'remote'}")
    succeeded(here, "repro", "-q")
    before = {path.name: path.read_bytes() for path in (here / "data/made/deep").iterdir()}
    assert len(before) == 3
    assert succeeded(here, "push").strip().endswith("4 files pushed")
    for lost in (here / "data", here / ".dvc" / "cache"):
        shutil.rmtree(lost)
    succeeded(here, "pull", "-q")
    assert {path.name: path.read_bytes() for path in (here / "data/made/deep").iterdir()} == before

    if kind == "folder":  # a file that the remote lacks is named
        for lost in (here / "data", here / ".dvc" / "cache", tmp_path / "remote"):
            shutil.rmtree(lost)
        process = dvc(here, "pull")
        assert process.returncode != 0
        assert "data/made" in process.stderr
        assert not (here / "data/made").exists()
