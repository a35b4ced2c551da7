"""A checkpoint is whole or not there, and belongs to one set of parameters and inputs."""

import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from torch import nn

from rectok.storage.folder import publish_folder, write_list
from rectok.storage.objects import below, list_files, publish
from rectok.train.checkpoint import Checkpoints, State
from rectok.train.ema import EMA
from rectok.train.meter import Meter
from rectok.train.world import World
from tests.errors import user_error
from tests.storage.proxy import Fault, faulty_store
from tests.storage.server import BUCKET

ALONE = World(0, 1, torch.device("cpu"))


class Engine:
    """Keeps a module's weights as DeepSpeed's engine does, in a folder and tag of its own."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def zero_optimization_stage(self) -> int:
        return 0

    def save_checkpoint(self, folder: str, tag: str) -> None:
        (Path(folder) / tag).mkdir(parents=True)
        torch.save(self.module.state_dict(), Path(folder) / tag / "weights.pt")

    def load_checkpoint(self, folder: str, tag: str) -> tuple[str, None]:
        self.module.load_state_dict(torch.load(Path(folder) / tag / "weights.pt", weights_only=True))
        return folder, None


class FullDisk(Engine):
    """Writes something, and then there is no space."""

    def save_checkpoint(self, folder: str, tag: str) -> None:
        super().save_checkpoint(folder, tag)
        raise OSError(28, "No space left on device")


def save(checkpoints: Checkpoints, step: int) -> None:
    """Save a checkpoint and wait for its copy."""
    checkpoints.save(state(step))
    checkpoints.close()


def state(step: int, engine: type[Engine] = Engine) -> Any:
    module = nn.Linear(3, 2)
    return State({"model": engine(module)}, EMA(module, 0.9), Meter("dit", ALONE), step, [{"step": float(step)}])


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path, "a", ALONE)


@pytest.fixture
def newest(checkpoints: Checkpoints, tmp_path: Path) -> Path:
    """The only checkpoint, of step 4."""
    checkpoints.save(state(4))
    return tmp_path / "a" / "step-000000004"


def test_everything_comes_back(checkpoints: Checkpoints) -> None:
    saved, restored = state(7), state(0)
    torch.manual_seed(5)
    checkpoints.save(saved)
    expected = torch.rand(3)
    assert checkpoints.restore(restored)
    assert (restored.step, restored.rows) == (7, [{"step": 7.0}])
    assert torch.equal(torch.rand(3), expected), "the random state differs"
    for mine, theirs in zip(restored.ema.average, saved.ema.average, strict=True):
        assert torch.equal(mine, theirs)
    mine, theirs = (s.engines["model"].module.weight for s in (restored, saved))
    assert torch.equal(mine, theirs)


def test_nothing_to_restore(checkpoints: Checkpoints) -> None:
    found = state(0)
    assert not checkpoints.restore(found)
    assert found.step == 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_only_the_newest_two_are_kept(checkpoints: Checkpoints, tmp_path: Path) -> None:
    for step in (9, 10, 11):
        checkpoints.save(state(step))
    assert names(tmp_path / "a") == ["step-000000010", "step-000000011"]


def test_a_partial_folder_is_never_taken_for_whole(checkpoints: Checkpoints, newest: Path) -> None:
    (newest.parent / "partial" / "model").mkdir(parents=True)
    (newest.parent / "step-5").mkdir()
    assert checkpoints.latest() == newest
    checkpoints.save(state(6))
    assert checkpoints.latest() == newest.with_name("step-000000006")
    assert not (newest.parent / "partial").exists()


def test_a_full_disk_keeps_the_one_before(checkpoints: Checkpoints, newest: Path) -> None:
    with user_error(r"the disk is full while writing checkpoint .*step-000000005; the one before"):
        checkpoints.save(state(5, FullDisk))
    assert list(newest.parent.iterdir()) == [newest]
    assert checkpoints.restore(state(0))


def test_a_limit_of_file_sizes_keeps_the_one_before(checkpoints: Checkpoints, newest: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with user_error(r"a file may not grow that large here while writing checkpoint .*; the one"):
            checkpoints.save(state(5))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(newest.parent.iterdir()) == [newest]
    assert checkpoints.restore(state(0))


def test_other_parameters_remove_the_state(newest: Path, tmp_path: Path) -> None:
    other = Checkpoints(tmp_path, "b", ALONE)
    assert other.latest() is None
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_copies_of_a_run_that_other_parameters_ended_are_removed(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    save(Checkpoints(tmp_path / "dit", "a", ALONE, str(copies)), 4)
    (copies / "dit" / "of another machine").mkdir()
    Checkpoints(tmp_path / "dit", "b", ALONE, str(copies))
    assert [path.name for path in (copies / "dit").iterdir()] == ["of another machine"]


@pytest.fixture(params=["folder", "bucket"])
def copies(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where copies lie; before the bucket stands a proxy that refuses one upload and cuts one download."""
    if request.param == "folder":
        yield str(tmp_path / "copies")
        return
    with faulty_store() as place:
        place.proxy.spoil(Fault("503", "PUT"), Fault("cut", "GET", "rank-0.pt"))
        yield f"s3://{BUCKET}/{tmp_path.name}"
        assert all(fault.times == 0 for fault in place.proxy.faults)


def test_another_machine_goes_on_from_the_newest_whole_copy(copies: str, tmp_path: Path) -> None:
    def machine(name: str) -> Checkpoints:
        return Checkpoints(tmp_path / name / "dit", "a", ALONE, copies)

    def steps() -> set[str]:
        return {file.name.split("/")[0] for file in list_files(below(copies, "dit/a"))}

    first = machine("first")
    assert not first.restore(state(0))
    for step in (4, 7):
        save(first, step)
    assert steps() == {"step-000000007"}
    half = tmp_path / "half"
    half.write_bytes(b"written half, hence without its list")
    publish(half, below(copies, "dit/a/step-000000009/rank-0.pt"))
    second, restored = machine("second"), state(0)
    assert second.restore(restored)
    assert restored.step == 7
    save(second, 12)
    assert steps() == {"step-000000012"}
    assert first.restore(restored) and restored.step == 12, "an older state here was preferred"
    assert second.restore(restored) and restored.step == 12


def test_a_place_that_took_copies_may_fail_and_one_that_never_did_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = str(tmp_path / "copies")
    checkpoints = Checkpoints(tmp_path / "dit", "a", ALONE, copies)

    def down(folder: Path, uri: str) -> None:
        raise OSError(116, "Stale file handle")  # as of a network mount; a bucket's errors are UserErrors

    monkeypatch.setattr("rectok.train.copies.publish_folder", down)
    with pytest.raises(OSError, match="Stale file handle"):
        save(checkpoints, 2)
    monkeypatch.setattr("rectok.train.copies.publish_folder", publish_folder)
    save(checkpoints, 4)
    monkeypatch.setattr("rectok.train.copies.publish_folder", down)
    save(checkpoints, 6)
    assert "warning: step-000000006 has no copy, which the next checkpoint tries again: " in capsys.readouterr().out
    assert names(tmp_path / "dit" / "a") == ["step-000000004", "step-000000006"]
    assert {file.name.split("/")[0] for file in list_files(below(copies, "dit/a"))} == {"step-000000004"}
    monkeypatch.setattr("rectok.train.copies.publish_folder", publish_folder)
    save(checkpoints, 8)
    assert {file.name.split("/")[0] for file in list_files(below(copies, "dit/a"))} == {"step-000000008"}


def test_a_slow_copy_holds_nothing_up_stays_readable_and_only_the_newest_follows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, free, published = Event(), Event(), list[str]()

    def slow(folder: Path, uri: str) -> None:
        began.set()
        assert free.wait(20)
        published.append(folder.name)
        publish_folder(folder, uri)

    monkeypatch.setattr("rectok.train.copies.publish_folder", slow)
    checkpoints = Checkpoints(tmp_path / "dit", "a", ALONE, str(tmp_path / "copies"))
    checkpoints.save(state(2))
    assert began.wait(20)
    for step in (4, 6, 8):
        checkpoints.save(state(step))
    here = ["step-000000002", "step-000000006", "step-000000008"]
    assert names(tmp_path / "dit" / "a") == ["copying", *here]
    free.set()
    checkpoints.close()
    assert published == ["step-000000002", "step-000000008"]
    assert {file.name.split("/")[0] for file in list_files(str(tmp_path / "copies/dit/a"))} == {"step-000000008"}
    assert names(tmp_path / "dit" / "a") == here
    save(checkpoints, 10)
    assert names(tmp_path / "dit" / "a") == ["step-000000008", "step-000000010"]


def test_state_of_its_own_that_is_newer_than_the_copy_is_kept(tmp_path: Path) -> None:
    save(Checkpoints(tmp_path / "b" / "dit", "a", ALONE, str(tmp_path / "copies")), 4)
    Checkpoints(tmp_path / "a" / "dit", "a", ALONE).save(state(6))
    restored = state(0)
    assert Checkpoints(tmp_path / "a" / "dit", "a", ALONE, str(tmp_path / "copies")).restore(restored)
    assert restored.step == 6


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty(file: Path) -> None:
    file.write_bytes(b"")


Damage = Callable[[Path], None]
DAMAGES: list[Damage] = [flip, truncate, empty, Path.unlink]
FILES = ["rank-0.pt", "model/state/weights.pt", "files.json"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    checkpoints: Checkpoints, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Damage, name: str
) -> None:
    before, newest = state(4), tmp_path / "a" / "step-000000008"
    checkpoints.save(before)
    checkpoints.save(state(8))
    damage(newest / name)
    restored = state(0)
    assert checkpoints.restore(restored)
    assert restored.step == 4
    mine, theirs = (s.engines["model"].module.weight for s in (restored, before))
    assert torch.equal(mine, theirs)
    said = capsys.readouterr().out
    place = name if name != "files.json" or damage is not flip else ""
    assert f"warning: checkpoint {newest} is damaged in {place}" in said
    assert said.endswith("; training goes on from step-000000004\n")
    assert names(tmp_path / "a") == ["step-000000004"]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES[:2])
def test_where_no_checkpoint_is_whole_it_says_so_and_removes_none(
    checkpoints: Checkpoints, newest: Path, damage: Damage, name: str
) -> None:
    damage(newest / name)
    with user_error(rf"step-000000004 is damaged in {name}; no other one is whole, so remove .*/a to"):
        checkpoints.restore(state(0))
    assert list(newest.parent.iterdir()) == [newest]


def test_the_copy_of_a_damaged_checkpoint_mends_it(copies: str, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "x" / "dit", "a", ALONE, copies)
    for step in (4, 8):
        save(checkpoints, step)
    flip(tmp_path / "x" / "dit" / "a" / "step-000000008" / "rank-0.pt")
    restored = state(0)
    assert checkpoints.restore(restored) and restored.step == 8


def test_a_damaged_copy_gives_way_to_what_is_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copies = tmp_path / "copies"
    save(Checkpoints(tmp_path / "other" / "dit", "a", ALONE, str(copies)), 8)
    Checkpoints(tmp_path / "dit", "a", ALONE).save(state(4))
    flip(copies / "dit" / "a" / "step-000000008" / "rank-0.pt")
    restored = state(0)
    assert Checkpoints(tmp_path / "dit", "a", ALONE, str(copies)).restore(restored) and restored.step == 4
    assert "warning: the copy of checkpoint step-000000008 is damaged: " in capsys.readouterr().out


class TouchWhenBuilt:
    """A pickle that creates the file `path` when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_never_run(checkpoints: Checkpoints, newest: Path, tmp_path: Path) -> None:
    torch.save({"step": TouchWhenBuilt(tmp_path / "executed")}, newest / "rank-0.pt")
    write_list(newest)
    with user_error(r"rank-0\.pt holds more than tensors and settings; code in a checkpoint is never run"):
        checkpoints.restore(state(0))
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_of_another_network_is_a_sentence(checkpoints: Checkpoints, newest: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, newest / "model" / "state" / "weights.pt")
    write_list(newest)
    with user_error(r"step-000000004 does not fit this training \(.*\); remove it to start over"):
        checkpoints.restore(state(0))
