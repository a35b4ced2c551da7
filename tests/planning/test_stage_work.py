"""Which stages work, on how many images and GPUs."""

from typing import Any

import pytest
import torch

from rectok.params import Params
from rectok.params.editing import changed
from rectok.planning.images import Images
from rectok.planning.stage_work import Steps, Workload, evaluations, samplings, workloads
from rectok.teacher.network import VisionNetwork
from rectok.workloads.costs import Costs
from tests.project import tiny

PARAMS = tiny()
COSTS = Costs(PARAMS, 10)
IMAGES = Images({"train": 1000, "val": 40, "test": 60}, 10)
METRIC_NETWORK = "data/passed/metric_network"
FILE = {"path": "weights.safetensors", "sha256": "0" * 64}
ONE_PROCESS = {"teacher", "metric_network"}
"""Stages that do not call rectok.train.launch.launched."""


def loads(changes: dict[str, Any], images: Images = IMAGES, gpus: int = 4) -> dict[str, Workload]:
    params = changed(PARAMS, changes)
    costs = Costs(params, images.classes) if changes else COSTS
    return {load.stage: load for load in workloads(Steps(params, costs, gpus), images)}


def night(params: Params) -> list[Workload]:
    return samplings("night", params.nightly.per_class, Costs(params, 10), 8)


@pytest.mark.slow
def test_all_gpus_work_but_for_proxies() -> None:
    found = loads({})
    assert list(found) == [
        "teacher", "metric_network", "features", "tokenizer", "decoder", "latents", "dit", "autoguidance", "reconstruction",
        "generation, unguided", "generation, guided",
    ]  # fmt: skip
    assert {stage: load.gpus for stage, load in found.items()} == {
        stage: 1 if stage in ONE_PROCESS else 4 for stage in found
    }


@pytest.mark.slow
def test_passes_see_every_image_of_their_splits() -> None:
    found = loads({"image.flip": True})
    assert found["features"].images == found["latents"].images == 2 * (1000 + 40 + 60)
    assert found["reconstruction"].images == 60  # PARAMS reconstruct the test split
    assert "reconstruction" not in loads({}, Images({"train": 1000}, 10))


@pytest.mark.slow
def test_what_is_given_is_not_trained() -> None:
    given = {"teacher.network.weights": "file", "teacher.network.sha256": "0" * 64}
    taken = {"dit.training.epochs": 0, "dit.initial": FILE}
    assert {"teacher", "dit"}.isdisjoint(loads({**given, **taken}))


@pytest.mark.slow
def test_a_proxy_learns_in_whole_batches() -> None:
    found = loads({"metric_network.training.epochs": 3, "metric_network.training.batch": 300})["metric_network"]
    assert (found.steps, found.images) == (9, 2700)  # the last 100 of 1000 images wait for another epoch
    metric_network = COSTS.shapes.build(lambda: VisionNetwork(PARAMS.metric_network.network, 10))
    forward = COSTS.shapes.forward(lambda: metric_network(torch.empty(2, 3, 16, 16))) / 2
    assert 2.8 * forward < found.flops < 3 * forward  # backward costs two forward passes, less the images' gradient


@pytest.mark.slow
def test_the_speed_of_a_training_is_that_of_its_adversary() -> None:
    adversary = {"weight": 0.1, "start": 0.0, "filters": 4, "layers": 1, "lr_per_256": 1e-4}
    found = loads({"decoder.losses.adversary": adversary, "features.storage": "online"})
    assert (found["tokenizer"].variant, found["decoder"].variant) == ("online", "cached+adversary")


def test_a_night_asks_for_the_velocity_at_every_step() -> None:
    asked = {"nightly.per_class": 6, "generation.sampler": {"method": "euler", "points": 11}}
    params = changed(PARAMS, {**asked, "generation.guidance": {"kind": "cfg", "scale": 2.0, "low": 0.0, "high": 1.0}})
    costs = Costs(params, 10)
    plain, guided = night(params)
    velocity, decode = costs.velocity(params.dit), costs.decode()
    assert (plain.images, guided.images, plain.gpus, guided.gpus) == (60, 60, 8, 8)
    assert (plain.variant, guided.variant) == ("plain", "cfg")
    assert plain.flops == pytest.approx(10 * velocity + decode)
    assert guided.flops == pytest.approx(20 * velocity + decode)


def test_evaluations_while_the_generator_trains_are_samples_of_their_own() -> None:
    evaluation = {**PARAMS.dit.evaluation.model_dump(), "per_class": 3, "points": 6, "waits_for": METRIC_NETWORK}
    training = {"dit.training.epochs": 5, "dit.training.batch": 32, "dit.training.micro_batch": 32}
    params = changed(
        PARAMS, {**training, "dit.training.log_every": 7, "dit.evaluate_every": 2, "dit.evaluation": evaluation}
    )
    (load,) = evaluations(Steps(params, Costs(params, 10), 4), 1000)
    # 157 steps, with an evaluation after every 63, the row of the log nearest to 62.5, and after the last one.
    assert (load.images, load.gpus, load.work, load.variant) == (3 * 3 * 10, 4, "sample", "plain")
    assert load.flops == pytest.approx(5 * COSTS.velocity(PARAMS.dit) + COSTS.decode())
    assert evaluations(Steps(PARAMS, COSTS, 4), 1000) == []


def test_neutral_guidance_is_not_sampled_again() -> None:
    neutral = {"kind": "cfg", "scale": 1.0, "low": 0.0, "high": 1.0}
    assert [load.variant for load in night(changed(PARAMS, {"generation.guidance": neutral}))] == ["plain"]
