"""Two processes write the bytes of one, in every stage that divides its batches; and one that dies leaves nothing behind."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import psutil
import pytest

from rectok import artifacts
from rectok.data.image_decoding import encode_png
from rectok.data.packing import Packed, write_shard
from rectok.teacher.loading import load_network, save_network
from tests.command import must
from tests.evaluation import project
from tests.train.project import start

pytestmark = pytest.mark.slow
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
        write_shard("00000", map(packed, range(24)))
        save_network(artifacts.stage_dir("teacher"), load_network(artifacts.stage_dir("metric_network")), {})
    yield folder


def packed(number: int) -> Packed:
    """One of 24 images of three classes under a key as long as the pipeline's, every third of them for testing."""
    png = encode_png(project.picture(number // 8, number).transpose(1, 2, 0))
    return Packed(f"{number:016d}", number // 8, "train" if number % 3 else "test", png)


def write(folder: Path, processes: int, points: int = 3) -> None:
    path = folder / "params.yaml"
    tree = json.loads(path.read_text())
    tree["machine"] |= {"device": "cpu", "processes": processes, "workers": 1}
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


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_write_the_bytes_of_one(folder: Path, stage: str) -> None:
    written = []
    for processes in (1, 2):
        write(folder, processes)
        must(folder, "rectok", *words(stage))
        written.append(content(folder, stage))
    assert written[0] == written[1] != {}


def test_a_process_that_is_killed_ends_the_stage_with_a_sentence_and_leaves_what_was_there(folder: Path) -> None:
    write(folder, 2, points=2**16)
    before = content(folder, "generation")
    process = start(folder, "generation", python=sys.executable)
    while not (ranks := [each for each in children(process.pid) if each.environ().get("RANK") == "1"]):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    ranks[0].kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert err.splitlines()[-1] == "rectok: stage generation failed in one of its 2 processes; its message stands above"
    assert content(folder, "generation") == before and children(process.pid) == []


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
