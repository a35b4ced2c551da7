from pathlib import Path

import pytest
import timm
import torch

from rectok.artifacts import read_json
from rectok.teacher.loading import load_network, save_network
from rectok.teacher.preprocessing import preprocessing
from tests.teacher.networks import DINOV3, SIGLIP, config, network

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
AUTO = {"mean": "auto", "std": "auto"}


def differences(**changes: object) -> dict[str, tuple[object, list[object]]]:
    """What differs for DINOv3 as it was trained, with changes."""
    record = DINOV3.model_copy(update={"image_size": 256, **changes}).model_dump(mode="json")
    return {name: (ours, timms) for name, ours, timms in preprocessing(record) if ours not in timms}


def test_what_timm_records_differs_in_nothing() -> None:
    assert differences() == {}


def test_every_difference_has_both_values() -> None:
    half = (0.5, 0.5, 0.5)
    assert differences(mean=half, std=half, image_size=224) == {
        "mean": ([0.5] * 3, [[0.485, 0.456, 0.406]]),
        "std": ([0.5] * 3, [[0.229, 0.224, 0.225]]),
        "image_size": (224, [256]),
    }
    record = config("dla34", 224).model_dump(mode="json")
    assert [(i.ours, i.timms) for i in preprocessing(record) if i.name == "interpolation"] == [
        ("bicubic", ["bilinear"])
    ]


def test_the_side_of_tests_is_as_right_as_that_of_training() -> None:
    for side, same in ((176, True), (224, True), (32, False)):
        record = config("resnet10t", side).model_dump(mode="json")
        assert next(i.ours in i.timms for i in preprocessing(record) if i.name == "image_size") == same


@pytest.mark.parametrize("of", [DINOV3, SIGLIP], ids=lambda c: c.name)
def test_auto_takes_the_values_of_timm(of: object, tmp_path: Path) -> None:
    automatic = network(of.model_copy(update=AUTO))
    known = timm.get_pretrained_cfg(of.name)
    assert (automatic.config.mean, automatic.config.std) == (known.mean, known.std)
    explicit = network(of.model_copy(update={"mean": known.mean, "std": known.std}))
    assert torch.equal(automatic.tokens(IMAGES, 4), explicit.tokens(IMAGES, 4))
    save_network(tmp_path, automatic, {})
    assert read_json(tmp_path / "config.json")["network"]["mean"] == list(known.mean)
    assert torch.equal(load_network(tmp_path).tokens(IMAGES, 4), explicit.tokens(IMAGES, 4))


def test_one_of_both_may_be_auto() -> None:
    halves = network(SIGLIP.model_copy(update={"mean": (0.1, 0.2, 0.3), "std": "auto"}))
    assert (halves.config.mean, halves.config.std) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
