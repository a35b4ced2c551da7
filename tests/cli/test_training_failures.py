"""A training that cannot go on says so in one sentence, and keeps its last good checkpoint."""

import csv
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.project import contents, rectok, sentence
from tests.project import write_params
from tests.train.project import finish, start, wait_for_checkpoint

pytestmark = pytest.mark.slow
LONG = {"dit.training.epochs": 40, "dit.training.checkpoint_every": 1}


@pytest.fixture
def project(project: Path) -> Path:
    """Nothing is trained yet."""
    shutil.rmtree(project / "data" / "dit")
    return project


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("data/state/dit/*/*"))


def test_a_loss_that_is_not_finite_stops_at_its_step(project: Path) -> None:
    write_params(project, {**LONG, "dit.training.lr_per_256": 1e10})
    done = rectok(project, "dit")
    assert done.returncode == 1
    assert sentence(done.stderr) == (
        "dit: the loss is not a finite number at step 3; the last good checkpoint stays in data/state/dit, "
        "and lower values of dit.training.lr_per_256 or clip start it anew"
    )
    assert checkpoints(project) == ["step-000000001", "step-000000002"]
    assert not (project / "data/dit").exists()

    write_params(project)
    finish(start(project))
    with (project / "data/dit/log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5], "the broken run was continued"


def test_a_second_run_is_refused_and_the_first_goes_on(project: Path) -> None:
    write_params(project, {**LONG, "dit.training.epochs": 60})
    first = start(project)
    wait_for_checkpoint(project, first)
    second = rectok(project, "dit")
    assert second.returncode == 1
    said = re.fullmatch(
        r"stage dit is already running here \(process (\d+)\); wait for it or stop it", sentence(second.stderr)
    )
    assert said is not None and psutil.Process(int(said[1])).cwd() == str(project)
    finish(first)
    assert (project / "data/dit/model.safetensors").exists()
    assert not (project / "data/state/dit").exists()


@pytest.fixture
def small_disk(project: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of so many kilobytes at the folder that the test names."""
    place = project / "data" / request.param[0]
    place.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    options = f"size={request.param[1]}k"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("small_disk", [("latents", 8)], indirect=True)
def test_a_full_disk_leaves_no_half_written_artefact(project: Path, small_disk: Path) -> None:
    done = rectok(project, "latents", "00000")
    assert done.returncode == 1
    assert sentence(done.stderr) == (
        "the disk is full while writing data/latents/00000.safetensors; free some space and run the command again"
    )
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("small_disk", [("state", 4000)], indirect=True)
def test_a_full_disk_keeps_the_checkpoint_before(project: Path, small_disk: Path) -> None:
    write_params(project, {**LONG, "dit.training.checkpoint_every": 2})
    process = start(project)
    wait_for_checkpoint(project, process)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"0" * 4096)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    found = sentence(errors)
    assert found.startswith("the disk is full while writing checkpoint data/state/dit/"), found
    assert "the one before it is kept" in found
    kept = checkpoints(project)
    assert len(kept) == 1 and kept[0].startswith("step-")
    assert not (project / "data/dit").exists()

    before = contents(small_disk)
    assert not [name for name in before if name.endswith(".tmp")]
    filler.unlink()
    finish(start(project))
    with (project / "data/dit/log.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 40 * 77 // 32 + 1
