"""Networks from Python: from folders and files, outside of any project."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import rectok
from rectok import Generator, Tokenizer
from rectok.interop.exporting import read_network, write_checkpoint
from rectok.interop.hub import write_network
from rectok.sampling.sampler_config import SamplerConfig
from tests.errors import user_error
from tests.networks import random_generator

SIDE, TOKENS, CHANNELS = 16, 16, 4
HEADS = (2, 2, 2)
FEW = SamplerConfig(method="euler", points=3, encoder_every=1, fp8=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_generator(tmp_path_factory.mktemp("networks"))


def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.load(folder / "decoder", device="cpu")


def test_the_package_loads_torch_only_when_it_is_needed() -> None:
    code = "import sys, rectok; assert 'torch' not in sys.modules; rectok.Tokenizer; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"Generator", "Tokenizer"} <= set(rectok.__all__)
    with pytest.raises(AttributeError, match="module 'rectok' has no attribute 'Encoder'"):
        rectok.Encoder  # noqa: B018


def test_images_of_every_kind_have_the_same_latents(folder: Path) -> None:
    ours = tokenizer(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    tensor = torch.from_numpy(pixels).movedim(-1, 1)
    latents = ours.encode(pixels)
    assert latents.shape == (2, TOKENS, CHANNELS) and not latents.requires_grad
    pictures = [Image.fromarray(each) for each in pixels]
    for images in (pictures, tensor, tensor / 255):
        torch.testing.assert_close(ours.encode(images), latents)
    for image in (pictures[0], pixels[0]):
        torch.testing.assert_close(ours.encode(image), latents[:1])
    assert ours.encode(Image.new("L", (90, 40))).shape == (1, TOKENS, CHANNELS)
    decoded = ours.decode(latents)
    assert decoded.shape == (2, 3, SIDE, SIDE) and 0 <= decoded.min() < decoded.max() <= 1


@pytest.mark.parametrize(
    "images",
    [torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, SIDE, SIDE, dtype=torch.int64), np.zeros((SIDE, SIDE), np.uint8)],
)
def test_images_that_do_not_fit(images: Any, folder: Path) -> None:
    with user_error(
        r"^images have shape \[.*\] and type \S+, but must be PIL images, uint8 arrays \[B, 16, 16, 3\]",
    ):
        tokenizer(folder).encode(images)


def test_latents_that_do_not_fit(folder: Path) -> None:
    said = r"latents have shape \[1, 4, 4\] and type torch\.float32, but must be a float tensor \[B, 16, 4\]"
    with user_error(said):
        tokenizer(folder).decode(torch.zeros(1, 4, 4))


def test_a_class_is_sampled_by_seeds(folder: Path) -> None:
    ours = Generator.load(folder, device="cpu")
    first = ours.sample(3, 2, seed=7, sampler=FEW)
    assert first.shape == (2, 3, SIDE, SIDE) and 0 <= first.min() < first.max() <= 1
    torch.testing.assert_close(ours.sample(3, seed=8, sampler=FEW), first[1:])
    others = [ours.sample(3, 2, seed=7, sampler=FEW, guidance=3.0, kind=kind) for kind in ("cfg", "autoguidance")]
    assert len({images.numpy().tobytes() for images in (first, *others)}) == 3
    never = ours.sample(3, 2, seed=7, sampler=FEW, guidance=3.0, interval=(1.0, 1.0))
    torch.testing.assert_close(never, first)
    with user_error("label 10 does not exist: labels run from 0 to 9"):
        ours.sample(10)
    with user_error("count is 0, but must be at least 1"):
        ours.sample(1, 0)
    with user_error("^scale is -1.0, but must be greater than or equal to 0$"):
        ours.sample(1, guidance=-1.0)
    with user_error("^kind is 'none', but must be 'cfg', 'autoguidance' or 'internal'$"):
        ours.sample(1, kind="none")  # type: ignore[arg-type]
    with user_error("^low 1.0 is above high 0.0$"):
        ours.sample(1, interval=(1.0, 0.0))


def test_what_was_exported_gives_the_same_images(folder: Path, tmp_path: Path) -> None:
    write_checkpoint(read_network(folder / "decoder", "tokenizer"), tmp_path / "tokenizer.pth", "dinov3")
    write_checkpoint(read_network(folder / "dit", "dit"), tmp_path / "dit.pth", "")
    write_network(read_network(folder / "decoder", "tokenizer"), "card", tmp_path / "hub")
    image = Image.new("RGB", (SIDE, SIDE), (200, 30, 60))
    latents = tokenizer(folder).encode(image)
    for path, heads in (("hub", None), ("tokenizer.pth", None), ("tokenizer.pth", HEADS)):
        torch.testing.assert_close(Tokenizer.load(tmp_path / path, device="cpu", heads=heads).encode(image), latents)
    files = {"dit": tmp_path / "dit.pth", "tokenizer": tmp_path / "tokenizer.pth"}
    images = Generator.load(folder, device="cpu", **files).sample(3, sampler=FEW)
    torch.testing.assert_close(images, Generator.load(folder, device="cpu").sample(3, sampler=FEW))


def test_what_is_not_there(folder: Path, here: Path) -> None:
    with user_error(r"^data/decoder/model\.safetensors is missing; `dvc repro` makes it"):
        Tokenizer.load()
    with user_error(r"^data/statistics/statistics\.json is missing; `dvc repro` makes it"):
        Generator.load()
    for part in ("dit", "autoguidance"):
        with user_error(r"^none/model\.safetensors does not exist"):
            Generator.load(folder, **{part: "none"})  # type: ignore[arg-type]
    with user_error("is a folder, but must be a file$"):
        Generator.load(folder, statistics=folder)
    if not torch.cuda.is_available():
        with user_error("device is cuda, but no GPU is visible here; use auto or cpu"):
            Tokenizer.load(folder / "decoder", device="cuda")
