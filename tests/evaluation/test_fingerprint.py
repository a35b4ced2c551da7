"""What decides whether metrics compare moves the fingerprint, and nothing else does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rectok import artifacts
from rectok.evaluation.fingerprint import generation_fingerprint
from rectok.params import Params
from rectok.params.editing import changed
from tests.evaluation import project


@pytest.fixture
def params(here: Path) -> Params:
    project.build_shards()
    project.build_metric_network()
    project.build_models()
    return project.params()


def of(params: Params, floor: str = "test", per_class: int = 5, **changes: Any) -> str:
    config = changed(params, {f"generation.{name}": value for name, value in changes.items()}).generation
    return generation_fingerprint(config, params.index.shards, floor, per_class)


def test_batch_seed_and_weights_of_the_generator_do_not_move_it(params: Params) -> None:
    before = of(params)
    assert len(before) == 12
    artifacts.weights_file("dit").write_bytes(b"others")
    assert before == of(params, batch=1) == of(params.model_copy(update={"seed": 7}))


@pytest.mark.parametrize(
    "change",
    [
        {"floor": "val"},
        {"per_class": 6},
        {"neighbours": 4},
        {"labels": "random"},
        {"rounding": "truncate"},
        {"sampler": {"method": "heun", "points": 3, "encoder_every": 1}},
        {"guidance": {"kind": "cfg", "scale": 3.0, "low": 0.0, "high": 1.0}},
    ],
)
def test_parameters_of_the_evaluation_move_it(params: Params, change: dict[str, Any]) -> None:
    assert of(params, **change) != of(params)


def test_images_metric_network_and_the_content_of_a_reference_move_it(params: Params) -> None:
    fingerprints = [of(params)]
    for size in (2, 3):
        np.savez("reference.npz", mu=np.zeros(size), sigma=np.eye(size))
        fingerprints.append(of(params, reference="reference.npz"))
    summary = artifacts.read_json(artifacts.summary_file("metric_network"))
    artifacts.write_json(artifacts.summary_file("metric_network"), {**summary, "sha256": "1" * 64})
    fingerprints.append(of(params))
    config = artifacts.read_json(artifacts.config_file("metric_network"))
    config["network"]["image_size"] = 64
    artifacts.write_json(artifacts.config_file("metric_network"), config)
    fingerprints.append(of(params))
    artifacts.shard_table("00000").write_bytes(b"other images")
    assert len({*fingerprints, of(params)}) == 6
