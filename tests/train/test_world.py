import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from rectok.artifacts import read_json, write_json
from rectok.nn.spread import Spread
from rectok.train.training_config import MachineConfig
from rectok.train.watchdog import Watchdog
from rectok.train.world import COMPILED_FROM, World, compiles, device_of
from tests.errors import user_error
from tests.project import tiny

CPU = torch.device("cpu")


def machine(**changes: object) -> MachineConfig:
    return tiny(**{f"machine__{name}": value for name, value in changes.items()}).machine


def test_one_process_is_its_own_world() -> None:
    world = World(0, 1, CPU)
    assert world.first and world.any(True) and not world.any(False)
    assert world.largest(-1.0) == -1.0
    assert torch.equal(world.mean(torch.tensor([2.0])), torch.tensor([2.0]))
    world.barrier()
    assert not World(1, 2, CPU).first


def together(rank: int, folder: Path) -> None:
    """One of two processes: keeps what it found in a file."""
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2)
    world = World(rank, 2, CPU)
    found = {
        "one of them": world.any(rank == 1),
        "none of them": world.any(False),
        "largest": world.largest([-1.0, 2.0**40 + 1][rank]),
        "mean": world.mean(torch.tensor([float(rank)])).item(),
    }
    if world.first:
        time.sleep(0.5)  # so that the other would be past a barrier that holds nobody
        (folder / "late").touch()
    world.barrier()
    watched: list[str] = []
    spread = Spread(rank, 2, lambda what: nullcontext(watched.append(what)))
    units = [(torch.tensor([float(unit)]),) for unit in range(4)]
    numbers = [part.item() for (part,) in spread.results((units[unit] for unit in spread.own(4)), [1] * 4)]
    assert numbers == [[0.0, 1.0, 2.0, 3.0], []][rank]
    assert len(watched) == [4, 2][rank] + 1  # each unit alone, and the end
    write_json(folder / f"{rank}.json", {**found, "waited": (folder / "late").exists()})
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_agree(tmp_path: Path) -> None:
    multiprocessing.spawn(together, args=(tmp_path,), nprocs=2)
    expected = {"one of them": True, "none of them": False, "largest": 2.0**40 + 1, "mean": 0.5, "waited": True}
    assert [read_json(tmp_path / f"{rank}.json") for rank in range(2)] == [expected, expected]


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_a_gpu_that_is_not_there_is_told() -> None:
    assert device_of(machine(device="auto")) == "cpu"
    with user_error(r"machine\.device is cuda, but no GPU is visible here; use auto or cpu"):
        device_of(machine(device="cuda"))


def test_networks_are_compiled_where_it_is_asked_for_or_pays() -> None:
    assert compiles(machine(compile=True), 0.0)
    assert not compiles(machine(compile=False), 10 * COMPILED_FROM)
    assert not compiles(machine(compile="auto"), 0.5 * COMPILED_FROM)
    assert compiles(machine(compile="auto"), COMPILED_FROM) == torch.cuda.is_available()


def test_only_a_training_goes_on_from_a_checkpoint_after_another_process_is_gone() -> None:
    world = World(0, 2, torch.device("cpu"), Watchdog(0, 2, 1000.0))
    lost = r"in the exchange of results, lost another one \(gloo: connection closed\); run the command again"
    with user_error(f"^process 0 of 2, {lost}$"), world.spread.watched("the exchange of results"):
        raise RuntimeError("gloo: connection closed")
    going_on = f"^process 0 of 2, at step 7 {lost}, and it goes on from the last checkpoint$"
    with user_error(going_on), world.watched("the exchange of results", 7):
        raise RuntimeError("gloo: connection closed")
