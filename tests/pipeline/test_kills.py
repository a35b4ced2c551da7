"""`dvc repro` killed at random moments of its stages: the next one makes the same artefacts, to the bit.

RECTOK_KILLS=30 kills thirty times, trainings and generation too; by default a shard's stage is killed once.
"""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from rectok.pipeline import lock
from rectok.pipeline.damage import damages
from rectok.pipeline.graph import read_cache
from tests import command, forked
from tests.project import write_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]
REPOSITORY = Path(__file__).parents[2]
LONG = {"epochs": 30, "checkpoint_every": 5}
KILLS = int(os.environ.get("RECTOK_KILLS", "1"))
STAGES = ("shards@00000", "teacher", "features@00000", "tokenizer", "latents@00001", "dit", "generation")
"""Stages to kill, in turn. The first ones need no training of a generator."""
TARGETS = ("everything", "stage", "dvc")
REPRO = ("dvc", "repro", "--force", "--no-run-cache", "--single-item")
"""The stage runs although its result is known."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that ran undisturbed up to the stages that are killed."""
    folder = tmp_path_factory.mktemp("kills")
    for name in ("dvc.yaml", "versions.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    command.must(folder, "dvc", "init", "--quiet", "--no-scm")
    write_params(
        folder,
        {f"{stage}.training.{key}": value for stage in ("tokenizer", "dit") for key, value in LONG.items()}
        | {"teacher.training.epochs": 8, "generation.per_class": 16},
    )
    command.must(folder, "dvc", "repro", *gates(KILLS))
    return folder


def gates(count: int) -> list[str]:
    """Those of the first stages."""
    return [f"gate-{stage}" if "@" in stage else f"gate@{stage}" for stage in STAGES[:count]]


def processes(folder: Path) -> dict[psutil.Process, str]:
    """Everything that runs in `folder`, with its program's name where it is the start of a command."""
    running = {}
    for process in set(psutil.process_iter()) - {psutil.Process()}:
        with suppress(psutil.Error):
            if Path(process.cwd()) == folder:
                words = [Path(word).name for word in process.cmdline()[:3]]
                running[process] = next((word for word in words if word in ("rectok", "dvc")), "")
    return running


def kill(folder: Path, target: str) -> int:
    """SIGKILL for these processes at once. How many they were."""
    program = {"stage": "rectok", "dvc": "dvc"}.get(target)
    chosen = [process for process, name in processes(folder).items() if program in (None, name)]
    for process in chosen:
        with suppress(psutil.Error):
            process.kill()
    return len(chosen)


def disturbed(folder: Path, stage: str, target: str, seconds: float) -> bool:
    """Start a stage and kill it after so long. Whether it was still running then."""
    with subprocess.Popen(
        (*REPRO, stage), cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        time.sleep(seconds)
        hit = process.poll() is None and kill(folder, target) > 0
        process.communicate(timeout=60)
    deadline = time.monotonic() + 5
    while left := processes(folder):  # what outlives its dvc ends by itself
        assert time.monotonic() < deadline, [process.as_dict(["pid", "ppid", "cmdline", "status"]) for process in left]
        time.sleep(0.05)
    return hit


def heal(folder: Path) -> None:
    """What the guide to recovery says, where a kill has cut off a file of DVC, which does not write them at once."""
    status = command.run(folder, "dvc", "status")
    if "Unable to read RWLock-file" in status.stdout + status.stderr:
        print("rwlock is damaged")
        (folder / ".dvc/tmp/rwlock").unlink()
        status = command.run(folder, "dvc", "status")
    if status.returncode:
        print("dvc.lock is damaged")
        (folder / "dvc.lock").unlink()
        command.must(folder, "dvc", "repro", *gates(KILLS))


def environment() -> Mapping[str, str]:
    return {**os.environ, "PATH": forked.path(), "OMP_NUM_THREADS": "1"}


def test_a_killed_stage_makes_the_same_bytes_when_it_runs_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    whole, draw, lasts, hits = lock.read(), random.Random(18), {}, 0
    for stage in STAGES[:KILLS]:
        began = time.monotonic()
        command.must(project, *REPRO, stage)
        lasts[stage] = time.monotonic() - began
    while hits < KILLS:
        stage, target = STAGES[hits % len(STAGES)], TARGETS[hits % len(TARGETS)]
        seconds = draw.uniform(0.2, 1.0) * lasts[stage]
        if not disturbed(project, stage, target, seconds):
            continue
        heal(project)
        resumed = "resumed" if list(project.glob("data/state/*/*/step-*")) else ""
        command.must(project, *REPRO, stage)
        hits += 1
        print(f"{hits} {stage} {target} {seconds:.1f}/{lasts[stage]:.1f} s {resumed}")
        assert lock.read() == whole, stage
    assert damages(whole, read_cache().files) == []
    assert "up to date" in command.must(project, "dvc", "repro", *lasts)
    (project / ".dvc/tmp/rwlock").write_text("")  # as a kill leaves it now and then
    assert command.run(project, "dvc", "repro", *lasts).returncode != 0
    heal(project)
    assert "up to date" in command.must(project, "dvc", "repro", *lasts)
