"""A training that is killed, asked to stop, or looked at, goes on to the very same weights."""

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from rectok.params import load
from rectok.stages import dit
from rectok.train import loop
from tests import forked
from tests.project import write_params
from tests.train.project import finish, make, start, wait_for_checkpoint

pytestmark = pytest.mark.slow
# Rows of the log and checkpoints fall on different steps, and a loader process shares the signals.
STEPS = {
    "dit.training.epochs": 40,
    "dit.training.checkpoint_every": 5,
    "dit.training.log_every": 3,
    "machine.workers": 1,
}


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two equal projects; the first has been trained without interruption."""
    whole = tmp_path_factory.mktemp("whole")
    make(whole, STEPS)
    interrupted = tmp_path_factory.mktemp("interrupted") / "project"
    shutil.copytree(whole, interrupted)
    finish(start(whole))
    return whole, interrupted


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_training_ends_at_the_same_bytes(projects: tuple[Path, Path], number: signal.Signals) -> None:
    whole, interrupted = projects
    shutil.rmtree(interrupted / "data" / "dit", ignore_errors=True)
    process = start(interrupted)
    wait_for_checkpoint(interrupted, process)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=120)
    assert process.returncode != 0
    if number != signal.SIGKILL:
        assert "after its checkpoint; run it again to go on" in err
    assert not (interrupted / "data" / "dit").exists()

    finish(start(interrupted))
    for name in ("model.safetensors", "raw.safetensors", "log.csv", "summary.json"):
        assert (interrupted / "data/dit" / name).read_bytes() == (whole / "data/dit" / name).read_bytes(), name
    assert not (interrupted / "data" / "state" / "dit").exists()


@pytest.mark.filterwarnings("default")  # DeepSpeed's own
def test_pictures_of_a_running_training_change_nothing_that_is_learnt(
    projects: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, watched = projects
    shutil.rmtree(watched / "data" / "dit", ignore_errors=True)
    monkeypatch.chdir(watched)
    monkeypatch.setattr(loop, "PREVIEW_EVERY", 0.0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the other training, else sums round otherwise
    dit.run(load())
    torch.set_num_threads(threads)
    assert "dit: newest picture in data/state/pictures/dit.png" in capfd.readouterr().out
    for name in ("model.safetensors", "raw.safetensors", "log.csv"):
        assert (watched / "data/dit" / name).read_bytes() == (whole / "data/dit" / name).read_bytes(), name
    assert not (watched / "data/state/pictures/dit.png").exists()


def test_a_training_with_workers_ends_by_an_error_of_the_network(projects: tuple[Path, Path]) -> None:
    _, interrupted = projects
    write_params(interrupted, {**STEPS, "machine.device": "cpu", "machine.processes": 1})
    code = (
        "from rectok.params import load; from rectok.stages import dit; from rectok.train.objectives import DiTObjective\n"
        "DiTObjective.forward = lambda *_: 1 / 0; dit.run(load())"
    )
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [f"{forked.commands()}/module", "-c", code],
        cwd=interrupted,
        env=env,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, err = process.communicate(timeout=240)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # workers that outlive it, too
    assert process.returncode == 1 and "ZeroDivisionError" in err
