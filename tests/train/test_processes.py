"""Two processes learn what one learns, for every ZeRO stage, and on two machines."""

import csv
import time
from pathlib import Path

import psutil
import pytest
from safetensors.numpy import load_file

from tests.project import write_params
from tests.train.machines import missing, two_machines
from tests.train.project import finish, make, start

pytestmark = pytest.mark.slow
SETTINGS = {"dit.training.epochs": 4, "dit.training.micro_batch": 16}


def losses(folder: Path, stage: str = "data/dit") -> list[float]:
    with (folder / stage / "log.csv").open() as file:
        return [float(row["total"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make(folder, SETTINGS)
    finish(start(folder))
    (folder / "data/dit").rename(folder / "alone")
    return folder, losses(folder, "alone")


@pytest.mark.parametrize("zero_stage", [1, 2, 3])
def test_two_processes_follow_the_curve_of_one(trained: tuple[Path, list[float]], zero_stage: int) -> None:
    folder, alone = trained
    write_params(folder, {**SETTINGS, "dit.training.zero_stage": zero_stage, "machine.processes": 2})
    finish(start(folder))
    assert losses(folder) == pytest.approx(alone, rel=1e-4)
    one, two = (load_file(folder / place / "model.safetensors") for place in ("alone", "data/dit"))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert two[name] == pytest.approx(tensor, abs=1e-4), name
    raw = load_file(folder / "data/dit/raw.safetensors")
    assert any((raw[name] != two[name]).any() for name in raw), "the average was not gathered"


def test_no_process_trains_on_when_the_command_above_them_is_killed(trained: tuple[Path, list[float]]) -> None:
    folder, _ = trained
    long = {**SETTINGS, "dit.training.epochs": 4000, "dit.training.checkpoint_every": 5, "machine.processes": 2}
    write_params(folder, long)
    process = start(folder, prefix=("env",))
    while not list(folder.glob("data/state/dit/*/step-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    _, alive = psutil.wait_procs(below, timeout=120)
    assert len(below) >= 3 and alive == []  # the launcher and two trainings
    process.communicate(timeout=60)


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_two_machines_of_a_hostfile_follow_the_curve_of_one(trained: tuple[Path, list[float]]) -> None:
    folder, alone = trained
    with two_machines(folder) as machines:
        changes = {"dit.training.zero_stage": 2, "machine.hostfile": str(machines.hostfile), "machine.processes": 1}
        write_params(folder, {**SETTINGS, **changes})
        finish(start(folder, prefix=machines.first, environment=machines.environment))
        assert losses(folder) == pytest.approx(alone, rel=1e-4)
        assert machines.received() > 10 * (folder / "data/dit/model.safetensors").stat().st_size
