"""Metrics in several feature spaces: each beside its floor, all from one pass over the samples."""

from pathlib import Path
from typing import Any

import pytest
import torch

from rectok import artifacts
from rectok.ablation.table import heading, value_of
from rectok.evaluation import feature_spaces
from rectok.evaluation.fingerprint import generation_fingerprint
from rectok.evaluation.metrics import read_record
from rectok.evaluation.space_metrics import ratios
from rectok.gates import generation as gate
from rectok.nn.weights import save_weights
from rectok.params import Params
from rectok.params.files import named_files
from rectok.params.loading import validated
from rectok.reporting.summary import metric_rows
from rectok.stages import generation
from rectok.storage.hashing import sha256_file
from rectok.teacher.network import VisionNetwork
from rectok.teacher.network_config import NetworkConfig
from tests.errors import user_error
from tests.evaluation import project
from tests.project import preset

SPACE: dict[str, Any] = {
    "name": "resnet10t", "options": {"channels": [8, 8, 8, 16]}, "image_size": 32, "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5], "weights": "space.safetensors", "sha256": "0" * 64, "licence": "",
}  # fmt: skip
FAMILIES = ("fd", "space_kid", "space_precision", "space_recall", "fdr")


@pytest.fixture
def params(here: Path) -> Params:
    """A finished project, and weights of a network of timm beside it."""
    built = project.build()
    torch.manual_seed(3)
    network = VisionNetwork(NetworkConfig(**_strict(SPACE)), 5)
    save_weights(Path(SPACE["weights"]), network.trunk.state_dict())
    space = NetworkConfig(**_strict({**SPACE, "sha256": sha256_file(Path(SPACE["weights"]))}))
    return built.model_copy(update={"generation": built.generation.model_copy(update={"spaces": (space,)})})


def _strict(tree: dict[str, Any]) -> dict[str, Any]:
    tuples = {"mean": tuple(tree["mean"]), "std": tuple(tree["std"])}
    return {**tree, **tuples, "options": {name: tuple(value) for name, value in tree["options"].items()}}


def test_each_space_has_its_distance_beside_its_floor_and_all_are_from_one_pass(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    images: list[int] = []
    forward = feature_spaces.FeatureSpaces.forward

    def counting(self: feature_spaces.FeatureSpaces, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        images.append(len(batch))
        return forward(self, batch)

    monkeypatch.setattr(feature_spaces.FeatureSpaces, "forward", counting)
    generation.run(params)
    assert sum(images) == 2 * 15 + 16 + 8  # samples without and with guidance, reference, held-out images
    metrics = read_record("generation").metrics
    for name in (*FAMILIES, *(f"{name}_guided" for name in FAMILIES), "fd_floor"):
        own = {"regnetx_002", "mean", "geometric_mean"} if name.startswith("fdr") else set()
        assert metrics[name].keys() == {"resnet10t"} | own
    fdr, fd = metrics["fdr"], metrics["fd"]["resnet10t"]
    assert fd > 0 and fdr["resnet10t"] == pytest.approx(fd / metrics["fd_floor"]["resnet10t"])
    assert fdr["regnetx_002"] == pytest.approx(metrics["gfid"] / metrics["gfid_floor"])
    assert all(check.passed for check in gate.check(params) if check.name in ("schema", "networks"))


def test_a_space_has_its_rows_its_column_and_its_gate(params: Params) -> None:
    generation.run(params)
    record = read_record("generation")
    rows = {row.title: row.network for row in metric_rows(record.metrics, record.networks)}
    assert rows["Fréchet distance, resnet10t"] == "the network that its name ends with, balanced labels"
    assert "FDr, distance over floor, guided, geometric mean" in rows
    assert heading("fd@resnet10t") == "Fréchet distance, resnet10t"
    assert value_of(record.metrics, "fd@resnet10t") == record.metrics["fd"]["resnet10t"]
    assert (
        artifacts.read_json(artifacts.metrics_file("generation"))["fd@resnet10t"] == record.metrics["fd"]["resnet10t"]
    )
    assert "resnet10t; beside 16 images of the reference, the floor of 8 held-out images" in str(
        record.protocol["spaces"]
    )
    tree = artifacts.read_json(artifacts.record_file("generation"))
    tree["metrics"]["space_recall"]["resnet10t"] = 1.5
    artifacts.write_json(artifacts.record_file("generation"), tree)
    [schema] = [check for check in gate.check(params) if check.name == "schema"]
    assert not schema.passed and "resnet10t" in schema.message


def test_weights_of_another_sha256_are_refused_before_anything_is_sampled(params: Params) -> None:
    space = params.generation.spaces[0].model_copy(update={"sha256": "1" * 64})
    config = params.generation.model_copy(update={"spaces": (space,)})
    with user_error("sha256"):
        generation.run(params.model_copy(update={"generation": config}))
    assert ("generation.spaces.0.weights", SPACE["weights"]) in [each[:2] for each in named_files(params)]


def test_a_space_moves_the_fingerprint_by_its_content_and_not_by_its_path(params: Params) -> None:
    def of(**changes: object) -> str:
        spaces = tuple(space.model_copy(update=changes) for space in params.generation.spaces)
        config = params.generation.model_copy(update={"spaces": spaces})
        return generation_fingerprint(config, params.index.shards, "test", per_class=5)

    assert of() == of(weights="elsewhere.safetensors") == of(licence="another")
    assert len({of(), of(sha256="1" * 64), of(image_size=64)}) == 3


def test_the_ratio_is_the_distance_over_the_floor_and_its_means_are_over_all_spaces() -> None:
    means = ratios({"a": 2.0, "b": 4.0, "c": 1.0}, {"a": 1.0, "b": 0.5, "c": 2.0})
    assert means == pytest.approx({"a": 2.0, "b": 8.0, "c": 0.5, "mean": 3.5, "geometric_mean": 2.0})
    assert ratios({"a": 2.0}, {"a": 0.0}) == {}


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ([SPACE, SPACE], r"generation\.spaces names resnet10t twice"),
        ([SPACE | {"weights": ""}], r"generation\.spaces\.0\.weights is empty, but nothing is trained for it"),
        ([SPACE | {"sha256": ""}], r"generation\.spaces\.0\.sha256 is empty, but weights space\.safetensors need it"),
        ([SPACE | {"name": "dinov2-vit-l-14", "weights": "timm"}], r"must be the released file of dinov2-vit-l-14"),
        (
            [SPACE | {"name": "the teacher"}],
            r"generation\.spaces names the teacher, which is the teacher; leave it out",
        ),
    ],
)
def test_what_is_no_space_is_a_sentence(spaces: list[dict[str, Any]], message: str) -> None:
    tree = preset("digits")
    tree["teacher"]["network"]["name"] = "the teacher"
    tree["generation"]["spaces"] = spaces
    with user_error(message):
        validated(tree, "params.yaml")
