from pathlib import Path

import pytest
import torch

from rectok import artifacts
from rectok.data.dataset import ImageDataset
from rectok.params import Params
from rectok.params.schema import NetworkParams
from rectok.stages import metric_network as metric_network
from rectok.stages import teacher
from rectok.storage.hashing import sha256_file
from rectok.teacher.loading import load_network
from rectok.train.classifier import LabelledImages, accuracy
from tests.errors import user_error
from tests.teacher.project import build_shards, params


@pytest.fixture(autouse=True)
def _project(here: Path) -> None:
    build_shards()


def files(stage: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in artifacts.stage_dir(stage).iterdir()}


def test_a_teacher_is_trained_where_no_weights_are_given() -> None:
    teacher.run(params())
    network = load_network(artifacts.stage_dir("teacher"))
    test = LabelledImages.of(ImageDataset(["00000"], "test"))
    summary = artifacts.read_json(artifacts.summary_file("teacher"))
    assert summary == {
        "network": "resnet10t",
        "trained_here": True,
        "proxy": "proxy: resnet10t trained here on 48 train images",
        "val_accuracy": summary["val_accuracy"],
        "test_accuracy": accuracy(network, test, 100),
        "sha256": sha256_file(artifacts.weights_file("teacher")),
        "licence": "trained here",
    }
    assert summary["test_accuracy"] == summary["val_accuracy"] == 1.0


def test_the_same_params_give_the_same_files() -> None:
    metric_network.run(params())
    first = files("metric_network")
    metric_network.run(params())
    assert files("metric_network") == first
    metric_network.run(params(seed=1))
    assert files("metric_network") == first  # another seed of the pipeline keeps the referee
    metric_network.run(params(metric_network__seed=1))
    assert files("metric_network")["model.safetensors"] != first["model.safetensors"]


def test_teacher_and_metric_network_draw_apart() -> None:
    of = params()
    alike = Params.model_construct(**{**dict(of), "metric_network": NetworkParams.model_construct(**dict(of.teacher))})
    teacher.run(alike)
    metric_network.run(alike)
    assert files("metric_network")["model.safetensors"] != files("teacher")["model.safetensors"]


def test_a_split_without_images_has_no_accuracy() -> None:
    build_shards(images=24)  # none of them falls into val or test
    teacher.run(params())
    summary = artifacts.read_json(artifacts.summary_file("teacher"))
    assert (summary["val_accuracy"], summary["test_accuracy"]) == (None, None)


def test_weights_from_elsewhere_are_taken_as_they_are(tmp_path: Path) -> None:
    teacher.run(params())
    source = artifacts.weights_file("teacher").rename(tmp_path / "given.safetensors")
    trained = artifacts.read_json(artifacts.config_file("teacher"))
    digest = sha256_file(source)
    given = {"teacher__network__weights": str(source), "teacher__network__sha256": digest}
    teacher.run(params(**given, teacher__network__licence="CC0"))
    summary = artifacts.read_json(artifacts.summary_file("teacher"))
    assert summary == {
        "network": "resnet10t", "trained_here": False, "proxy": "", "val_accuracy": None, "test_accuracy": None,
        "sha256": digest, "licence": "CC0",
    }  # fmt: skip
    assert sha256_file(artifacts.weights_file("teacher")) == digest
    config = artifacts.read_json(artifacts.config_file("teacher"))
    assert config["classes"] == trained["classes"] == 3
    assert config["provenance"] == {"source": str(source), "licence": "CC0"}
    assert load_network(artifacts.stage_dir("teacher")).tokens(torch.zeros(1, 3, 16, 16), 2).shape == (1, 4, 16)


def test_weights_of_another_sha256_leave_the_earlier_network_whole(tmp_path: Path) -> None:
    teacher.run(params())
    before = files("teacher")
    source = tmp_path / "given.safetensors"
    source.write_bytes(before["model.safetensors"])
    with user_error("was expected"):
        teacher.run(params(teacher__network__weights=str(source), teacher__network__sha256="0" * 64))
    assert files("teacher") == before
