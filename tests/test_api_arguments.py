"""Calls of the Python API that cannot be meant: each is one sentence, and none a traceback from inside of a library."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rectok import Generator, Tokenizer
from rectok.sampling.sampler_config import SamplerConfig
from tests.errors import user_error
from tests.networks import random_generator

SIDE, TOKENS, CHANNELS = 16, 16, 4
FEW = SamplerConfig(method="euler", points=2, encoder_every=1, fp8=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_generator(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.load(folder / "decoder", device="cpu")


@pytest.fixture(scope="module")
def generator(folder: Path) -> Generator:
    return Generator.load(folder, device="cpu")


def cut_off() -> Image.Image:
    """A PNG without its last bytes, which are only missed when it is used."""
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "png")
    return Image.open(io.BytesIO(buffer.getvalue()[:-200]))


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"label": 1.5}, "label is 1.5, but must be a whole number"),
        ({"label": "3"}, "label is '3', but must be a whole number"),
        ({"label": None}, "label is None, but must be a whole number"),
        ({"label": [1, 2]}, "label is [1, 2], but must be a whole number"),
        ({"label": torch.tensor([1, 2])}, "label is tensor([1, 2]), but must be a whole number"),
        ({"label": 10}, "label 10 does not exist: labels run from 0 to 9"),
        ({"label": 2**70}, f"label is {2**70}, but must be at most {2**63 - 1}"),
        ({"count": 2.0}, "count is 2.0, but must be a whole number"),
        ({"count": 0}, "count is 0, but must be at least 1"),
        ({"seed": 1.5}, "seed is 1.5, but must be a whole number"),
        ({"seed": "a"}, "seed is 'a', but must be a whole number"),
        ({"seed": -1}, "seed is -1, but must be at least 0"),
        ({"seed": 2**63, "count": 2}, f"seed is {2**63}, but must be at most {2**63 - 3}"),
        ({"guidance": "strong"}, "scale is 'strong', but must be a valid number"),
        ({"kind": ""}, "kind is '', but must be 'cfg', 'autoguidance' or 'internal'"),
        ({"interval": 0.5}, "interval is 0.5, but must be two numbers such as (0.0, 1.0)"),
        ({"interval": ()}, "interval is (), but must be two numbers such as (0.0, 1.0)"),
        ({"sampler": "euler"}, "sampler is 'euler', but must be a SamplerConfig"),
    ],
)
def test_samples_that_cannot_be_drawn(arguments: dict[str, Any], said: str, generator: Generator) -> None:
    with user_error(f"^{re.escape(said)}$"):
        generator.sample(**{"label": 1, "sampler": FEW, **arguments})


def test_whole_numbers_of_every_library_are_taken(generator: Generator) -> None:
    images = generator.sample(3, 1, seed=7, sampler=FEW)
    for kind in (np.int64, torch.tensor):
        torch.testing.assert_close(generator.sample(kind(3), kind(1), seed=kind(7), sampler=FEW), images)


@pytest.mark.parametrize(
    "images, said",
    [
        ([], "images are [], but must be PIL images, uint8 arrays [B, 16, 16, 3], or"),
        ("x.png", "images are 'x.png', but must be PIL images"),
        (None, "images are None, but must be PIL images"),
        (["x.png"], "images are ['x.png'], but must be PIL images"),
        ([np.zeros((SIDE, SIDE, 3), np.uint8)], "images are [array("),
        (np.zeros((0, SIDE, SIDE, 3), np.uint8), "images have shape [0, 16, 16, 3] and type uint8, but must be"),
        (np.zeros((1, 1, SIDE, SIDE, 3), np.uint8), "images have shape [1, 1, 16, 16, 3] and type uint8, but must be"),
        (np.zeros((SIDE, SIDE, 3), np.uint16), "images have shape [16, 16, 3] and type uint16, but must be"),
        (np.array(None), "images have shape [] and type object, but must be"),
        (torch.zeros(0, 3, SIDE, SIDE), "images have shape [0, 3, 16, 16] and type torch.float32, but must be"),
        (torch.tensor(1), "images have shape [] and type torch.int64, but must be"),
        (torch.full((1, 3, SIDE, SIDE), 255.0), "float images must hold numbers from 0 to 1; divide those of 0 to 255"),
        (torch.full((1, 3, SIDE, SIDE), float("nan")), "float images must hold numbers from 0 to 1"),
        ([Image.new("L", (9, 9)), Image.new("RGB", (0, 5))], "images[1] is 0×5 pixels large, but must have some"),
        (cut_off(), "images[0] cannot be used: truncated or damaged: "),
    ],
)
def test_what_cannot_be_encoded(images: Any, said: str, tokenizer: Tokenizer) -> None:
    with user_error(f"^{re.escape(said)}"):
        tokenizer.encode(images)


@pytest.mark.parametrize(
    "latents, said",
    [
        (None, "latents are None, but must be a float tensor [B, 16, 4]"),
        (np.zeros((1, TOKENS, CHANNELS), np.float32), "latents have shape [1, 16, 4] and type float32, but must be"),
        (torch.zeros(1, TOKENS, CHANNELS).int(), "latents have shape [1, 16, 4] and type torch.int32, but must be"),
        (torch.zeros(0, TOKENS, CHANNELS), "latents have shape [0, 16, 4] and type torch.float32, but must be"),
    ],
)
def test_what_cannot_be_decoded(latents: Any, said: str, tokenizer: Tokenizer) -> None:
    with user_error(f"^{re.escape(said)}"):
        tokenizer.decode(latents)


def test_latents_of_every_precision_are_decoded(tokenizer: Tokenizer) -> None:
    latents = torch.randn(1, TOKENS, CHANNELS, generator=torch.Generator().manual_seed(0)).bfloat16()
    for kind in (torch.float32, torch.float64):
        torch.testing.assert_close(tokenizer.decode(latents), tokenizer.decode(latents.to(kind)))


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"path": 5}, "path is 5, but must be a path"),
        ({"device": 5}, "device is 5, but must be auto, cpu or cuda"),
        ({"device": "gpu"}, "device is 'gpu', but must be auto, cpu or cuda"),
        ({"device": ""}, "device is '', but must be auto, cpu or cuda"),
        ({"device": "meta"}, "device is 'meta', but must be auto, cpu or cuda"),
        ({"heads": 12}, "heads is 12, but must be three whole numbers such as (12, 12, 4)"),
        ({"heads": (12, 12)}, "heads is (12, 12), but must be three whole numbers such as (12, 12, 4)"),
        ({"heads": (12, 12, 0)}, "heads is 0, but must be at least 1"),
        ({"heads": (12, 12, 4.5)}, "heads is 4.5, but must be a whole number"),
    ],
)
def test_tokenizers_that_cannot_be_loaded(arguments: dict[str, Any], said: str, folder: Path) -> None:
    with user_error(f"^{re.escape(said)}$"):
        Tokenizer.load(**{"path": folder / "decoder", **arguments})


@pytest.mark.parametrize("name", ["folder", "dit", "tokenizer", "statistics", "autoguidance"])
def test_parts_of_a_generator_that_are_no_paths(name: str, folder: Path) -> None:
    with user_error(rf"^{name} is \['a'\], but must be a path$"):
        Generator.load(**{"folder": folder, name: ["a"]})  # type: ignore[arg-type]


def test_names_of_the_hub_that_are_none() -> None:
    for kind in (Tokenizer, Generator):
        with user_error("^name is 5, but must be a path$"):
            kind.from_pretrained(5)  # type: ignore[arg-type]
        with user_error("^revision is 5, but must be a str$"):
            kind.from_pretrained("org/name", revision=5)  # type: ignore[arg-type]
