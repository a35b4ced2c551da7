"""Two processes learn what one learns, for every ZeRO stage, and on two machines."""

import csv
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from safetensors.numpy import load_file

from tests.fork_server import rank_name
from tests.project import write_params
from tests.storage.proxy import Fault, faulty_store
from tests.storage.server import BUCKET
from tests.train.machines import missing, two_machines
from tests.train.project import command_of, finish, make, rank, running, start, wait_for_checkpoint

pytestmark = pytest.mark.slow
SETTINGS = {"dit.training.epochs": 4, "dit.training.micro_batch": 16}


def losses(folder: Path, stage: str = "data/dit") -> list[float]:
    with (folder / stage / "log.csv").open() as file:
        return [float(row["total"]) for row in csv.DictReader(file)]


def assert_same_weights(folder: Path, within: float = 1e-4) -> None:
    one, two = (load_file(folder / place / "model.safetensors") for place in ("alone", "data/dit"))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert two[name] == pytest.approx(tensor, abs=within), name


def assert_gathered(folder: Path) -> None:
    raw, average = (load_file(folder / "data/dit" / f"{name}.safetensors") for name in ("raw", "model"))
    assert any((raw[name] != average[name]).any() for name in raw), "the average was not gathered"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    folder = tmp_path_factory.mktemp("processes")
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
    assert_same_weights(folder)
    assert_gathered(folder)


@pytest.mark.parametrize(("zero_stage", "counts"), [(3, (4, 2, 1)), (2, (2, 1)), (1, (1, 2)), (0, (1, 2))])
def test_a_training_goes_on_with_fewer_and_with_more_processes(
    trained: tuple[Path, list[float]], zero_stage: int, counts: tuple[int, ...]
) -> None:
    folder, alone = trained
    shutil.rmtree(folder / "data/state", ignore_errors=True)
    settings = {**SETTINGS, "dit.training.zero_stage": zero_stage, "dit.training.checkpoint_every": 1000}
    for count in counts[:-1]:
        write_params(folder, {**settings, "machine.processes": count})
        process = start(folder)
        assert process.stdout and any(line.startswith("dit step") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1 and "after its checkpoint; run it again to go on" in err
    write_params(folder, {**settings, "machine.processes": counts[-1]})
    writers = f"{counts[-2]} process{'es' if counts[-2] > 1 else ''}"
    lines = finish(start(folder)).splitlines()
    resumed = next(line for line in lines if line.startswith("dit: step-"))
    assert resumed.endswith(f" is of {writers}, training goes on with {counts[-1]}")
    assert losses(folder) == pytest.approx(alone, rel=1e-4)
    assert_same_weights(folder)


def test_no_process_trains_on_when_the_command_above_them_is_killed(trained: tuple[Path, list[float]]) -> None:
    folder, _ = trained
    long = {**SETTINGS, "dit.training.epochs": 4000, "dit.training.checkpoint_every": 5, "machine.processes": 2}
    write_params(folder, long)
    process = start(folder)
    wait_for_checkpoint(folder, process)
    assert_all_end_with_the_command(folder, ranks=2)
    process.communicate(timeout=60)


def assert_all_end_with_the_command(folder: Path, ranks: int) -> None:
    command = command_of(folder)
    below = running(folder)
    command.kill()
    assert set(map(rank_name, range(ranks))) <= set(below.values())
    assert psutil.wait_procs(below, timeout=120)[1] == []


def test_a_slow_bucket_holds_no_process(trained: tuple[Path, list[float]]) -> None:
    """A copy has eight files, so it takes longer than processes wait for each other."""
    folder, alone = trained
    shutil.rmtree(folder / "data/state", ignore_errors=True)
    with faulty_store() as store:
        store.proxy.spoil(Fault("changed", "PUT", times=10**6, change=lambda: time.sleep(1)))
        place = {"storage.checkpoints": f"s3://{BUCKET}/slow", "dit.training.checkpoint_every": 4}
        write_params(folder, {**SETTINGS, **place, "machine.processes": 2, "machine.timeout": 0.1})
        finish(start(folder))
        assert sum(request.startswith("PUT ") for request in store.proxy.requests) > 0.1 * 60
    assert losses(folder) == pytest.approx(alone, rel=1e-4)


def test_a_process_that_dies_or_hangs_ends_the_training_with_a_sentence_and_it_resumes(
    trained: tuple[Path, list[float]],
) -> None:
    folder, _ = trained
    shutil.rmtree(folder / "data/state", ignore_errors=True)
    short = {"machine.processes": 2, "machine.timeout": 0.1, "dit.training.checkpoint_every": 4}
    write_params(folder, {**SETTINGS, **short, "dit.training.epochs": 4000})
    process = start(folder)
    wait_for_checkpoint(folder, process)
    assert "lost another one (" in sentence_after(signal.SIGKILL, folder, process)
    again = start(folder)
    assert again.stdout is not None and any(line.startswith("dit goes on at step ") for line in again.stdout)
    sentence = sentence_after(signal.SIGSTOP, folder, again)
    assert "waited 6 s for the others (machine.timeout); one of them is dead or hangs" in sentence
    assert "rectok/train/loop.py" in (folder / "data/state/stacks/rank-0.txt").read_text()


def sentence_after(number: signal.Signals, folder: Path, process: "subprocess.Popen[str]") -> str:
    """What the first of two processes says after the second got the signal; the command fails."""
    second = rank(folder, 1)
    assert second is not None and process.stderr is not None
    second.send_signal(number)
    sentence = next(line for line in process.stderr if line.startswith("rectok: process 0 of 2, at step "))
    with suppress(psutil.NoSuchProcess):
        second.kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1 and "rectok: stage dit failed in one of its 2 processes" in err
    assert re.search(r" at step \d+ in (the exchange of gradients|an all_reduce of a \w+|a barrier), ", sentence)
    return sentence


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_two_machines_stop_after_a_checkpoint_go_on_from_it_and_follow_the_curve_of_one(
    trained: tuple[Path, list[float]],
) -> None:
    folder, alone = trained
    with two_machines(folder) as machines:
        changes = {"machine.hostfile": str(machines.hostfile), "machine.processes": 1, "dit.training.zero_stage": 2}
        write_params(folder, {**SETTINGS, **changes, "dit.training.checkpoint_every": 1000})
        process = start(folder, prefix=machines.first, environment=machines.environment)
        assert process.stdout
        for line in process.stdout:
            if "dit step" in line:
                break
        below = running(folder)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 1 and "after its checkpoint; run it again to go on" in out + err
        assert "Traceback" not in err.split("stopped at step")[0]
        assert set(map(rank_name, range(2))) <= set(below.values()) and psutil.wait_procs(below, timeout=60)[1] == []
        kept = list(folder.glob("data/state/dit/*/step-*"))
        assert len(kept) == 1 and not (folder / "data/state/stops/dit").exists()
        finish(start(folder, prefix=machines.first, environment=machines.environment))
        assert machines.received() > 10 * (folder / "data/dit/model.safetensors").stat().st_size
    assert losses(folder) == pytest.approx(alone, rel=1e-4)
    assert_same_weights(folder)


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize("machines_of_it", [1, 2])
def test_on_no_machine_does_a_process_train_on_when_the_command_is_killed(
    trained: tuple[Path, list[float]], machines_of_it: int
) -> None:
    folder, _ = trained
    shutil.rmtree(folder / "data/state", ignore_errors=True)  # with the checkpoints of the test before
    with two_machines(folder) as machines:
        machines.hostfile.write_text("".join(machines.hostfile.read_text().splitlines(keepends=True)[:machines_of_it]))
        changes = {"machine.hostfile": str(machines.hostfile), "machine.processes": 1, "dit.training.epochs": 4000}
        write_params(folder, {**SETTINGS, **changes, "dit.training.checkpoint_every": 5})
        process = start(folder, prefix=machines.first, environment=machines.environment)
        wait_for_checkpoint(folder, process)
        assert_all_end_with_the_command(folder, machines_of_it)
        process.communicate(timeout=60)
