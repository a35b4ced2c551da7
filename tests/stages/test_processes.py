"""Two processes write the bytes of one, in every stage that divides its batches; and one that dies leaves nothing behind."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import psutil
import pytest

from rectok import artifacts
from rectok.data.image_decoding import encode_png
from rectok.data.packing import Packed, write_shard
from rectok.pipeline.process import RESULTS
from rectok.teacher.loading import load_network, save_network
from tests.command import must
from tests.evaluation import project
from tests.train.project import rank, running, start

pytestmark = pytest.mark.slow
SHARDS = {"00000": range(24), "00001": range(24, 36), "00002": range(36, 44)}
STAGES = ("features", "latents", "reconstruction", "probe", "generation", "nightly", "sample")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished project, of whose batches every stage has some, a smaller one among them."""
    folder = tmp_path_factory.mktemp("processes")
    with chdir(folder):
        project.build_shards()
        project.build_metric_network()
        project.build_models()
        project.params()
        for shard, numbers in SHARDS.items():
            write_shard(shard, map(packed, numbers))
        save_network(artifacts.stage_dir("teacher"), load_network(artifacts.stage_dir("metric_network")), {})
    yield folder


def packed(number: int) -> Packed:
    """An image of one of three classes under a key as long as the pipeline's, every third of them for testing."""
    label = number // 8 % 3
    png = encode_png(project.picture(label, number).transpose(1, 2, 0))
    return Packed(f"{number:016d}", label, "train" if number % 3 else "test", png)


def write(folder: Path, processes: int, points: int = 3) -> None:
    path = folder / "params.yaml"
    tree = json.loads(path.read_text())
    tree["machine"] |= {"device": "cpu", "processes": processes, "workers": 1}
    tree["index"]["shards"] = [*SHARDS]
    tree["image"]["flip"] = True
    tree["features"] |= {"batch": 5, "storage": "int8"}
    tree["latents"]["batch"] = 5
    tree["generation"]["sampler"]["points"] = points
    path.write_text(json.dumps(tree))


def words(stage: str) -> list[str]:
    if stage == "nightly":
        return [stage, "--date", "2026-01-31"]
    if stage == "sample":
        return [stage, "--label", "1", "--count", "10", "--out", "data/sample/grid.png"]
    return [stage, *(["00000"] if stage in artifacts.SHARDED else [])]


def content(folder: Path, stage: str) -> dict[str, bytes]:
    paths = [path for path in (folder / "data" / stage).rglob("*") if path.is_file()]
    return {path.name: path.read_bytes() for path in paths}


def logged(folder: Path) -> dict[str, str]:
    """Variables by which torchrun keeps what every rank prints in `folder`, and prints it with the rank before each line."""
    return {"PET_LOG_DIR": str(folder), "PET_TEE": "3"}


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_write_the_bytes_of_one(folder: Path, stage: str) -> None:
    written = []
    for processes in (1, 2):
        write(folder, processes)
        shutil.rmtree(folder / "data" / stage, ignore_errors=True)
        logs = folder / f"logs/{stage}-{processes}"
        must(folder, "rectok", *words(stage), **logged(logs))
        written.append(content(folder, stage))
        assert sorted(path.parent.name for path in logs.rglob("stdout.log")) == ["0", "1"][: 2 * (processes == 2)]
    assert written[0] == written[1] != {}


@pytest.mark.parametrize("stage", ["features", "latents"])
def test_of_several_shards_every_process_makes_other_ones(folder: Path, stage: str) -> None:
    written = []
    for processes in (1, 2):
        write(folder, processes)
        (folder / "results").write_text("")
        out = must(folder, "rectok", stage, *SHARDS, **logged(folder / "logs"), **{RESULTS: str(folder / "results")})
        addresses = [f"{stage}@{shard}" for shard in SHARDS]
        assert sorted((folder / "results").read_text().split()) == addresses
        ranks = [""] if processes == 1 else ["[default0]:", "[default1]:"]
        lines = {f"{ranks[number % processes]}{address}" for number, address in enumerate(addresses)}
        assert {line for line in out.splitlines() if "@" in line} == lines
        written.append(content(folder, stage))
    assert written[0] == written[1]
    assert written[0].keys() >= {f"{shard}.safetensors" for shard in SHARDS}


def test_a_process_that_is_killed_ends_the_stage_with_a_sentence_and_leaves_what_was_there(folder: Path) -> None:
    write(folder, 2, points=2**16)
    before = content(folder, "generation")
    process = start(folder, "generation")
    while (second := rank(folder, 1)) is None:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    second.kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert err.splitlines()[-1] == "rectok: stage generation failed in one of its 2 processes; its message stands above"
    assert content(folder, "generation") == before
    assert psutil.wait_procs(running(folder), timeout=10)[1] == []
