"""One folder holds all that sampling needs, and draws what the networks it was made from draw."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rectok import Generator, Tokenizer
from rectok.artifacts import read_json, write_json
from rectok.interop.exporting import read_network
from rectok.interop.hub import write_generator, write_network
from rectok.sampling.sampler_config import GuidanceConfig, SamplerConfig, SamplingConfig
from tests.errors import user_error
from tests.networks import random_generator

SAMPLING = SamplingConfig(
    classes=tuple(f"class {label}" for label in range(10)),
    sampler=SamplerConfig(method="heun", points=3, encoder_every=1, fp8=False),
    guidance=GuidanceConfig(kind="autoguidance", scale=3.0, low=0.0, high=1.0),
    rounding="truncate",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_generator(tmp_path_factory.mktemp("networks"))


def exported(data: Path, folder: Path) -> Path:
    write_generator(Generator.load(data, device="cpu").parts, SAMPLING, "card", folder)
    return folder


def test_the_folder_samples_as_its_settings_say(data: Path, tmp_path: Path) -> None:
    ours, theirs = Generator.load(data, device="cpu"), Generator.from_pretrained(exported(data, tmp_path / "hub"))
    assert theirs.classes == SAMPLING.classes and ours.classes == ()
    said = {"guidance": 3.0, "kind": "autoguidance", "sampler": SAMPLING.sampler}
    assert torch.equal(theirs.sample(3, 2, seed=7), ours.sample(3, 2, seed=7, **said))
    assert torch.equal(theirs.sample(3, guidance=1.0), ours.sample(3, sampler=SAMPLING.sampler))
    assert not torch.equal(theirs.sample(3), theirs.sample(3, guidance=1.0))
    latents = torch.ones(1, 16, 4)
    decoded = Tokenizer.load(data / "decoder", device="cpu").decode(latents)
    assert torch.equal(Tokenizer.from_pretrained(tmp_path / "hub", device="cpu").decode(latents), decoded)


def test_the_folder_needs_nothing_beside_it(tmp_path: Path) -> None:
    """Moved, and loaded by a process of its own after what it was made from is gone."""
    data = random_generator(tmp_path / "data")
    exported(data, tmp_path / "first").rename(tmp_path / "moved")
    expected = Generator.load(data, device="cpu", autoguidance=data / "autoguidance").sample(
        1, guidance=3.0, kind="autoguidance", sampler=SAMPLING.sampler
    )
    data.rename(tmp_path / "gone")
    code = "import rectok, torch; torch.save(rectok.Generator.from_pretrained('moved', device='cpu').sample(1), 'drawn.pt')"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    torch.testing.assert_close(torch.load(tmp_path / "drawn.pt", weights_only=True), expected)


def test_only_a_new_or_empty_folder_is_written(data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    exported(data, tmp_path / "empty")
    before = sorted(tmp_path.rglob("*"))
    for path in (tmp_path / "empty", tmp_path / "empty" / "README.md"):
        with user_error(f"{path} is not empty; name a new folder or an empty one"):
            exported(data, path)
        with user_error(f"{path} is not empty; name a new folder or an empty one"):
            write_network(read_network(data / "dit", "dit"), "card", path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_generator_without_an_autoguidance_model(data: Path, tmp_path: Path) -> None:
    parts = replace(Generator.load(data, device="cpu").parts, autoguidance=None)
    write_generator(parts, SAMPLING, "card", tmp_path / "hub")
    assert not (tmp_path / "hub" / "autoguidance").exists()
    assert "autoguidance" not in read_json(tmp_path / "hub" / "model_index.json")
    assert Generator.from_pretrained(tmp_path / "hub").sample(1, guidance=2.0, kind="cfg").shape == (1, 3, 16, 16)


def test_a_tokenizer_alone_is_a_folder_too(data: Path, tmp_path: Path) -> None:
    write_network(read_network(data / "decoder", "tokenizer"), "card", tmp_path / "hub")
    assert Tokenizer.from_pretrained(tmp_path / "hub").config == Tokenizer.load(data / "decoder").config
    with user_error(r"hub holds no generator as `rectok export --format hub` writes it"):
        Generator.from_pretrained(tmp_path / "hub")


@pytest.mark.parametrize(
    ("mean", "std"),
    [([0.5] * 4, [2.0]), ([0.5] * 4, [2.0] * 9), ([0.5] * 4, [2.0, 2.0, 0.0, 2.0]), ([0.5] * 4, [-2.0] * 4),
     (0.5, 2.0), ([[0.5]] * 4, [[2.0]] * 4), ([0.5] * 4, [1e300] * 4)],
)  # fmt: skip
def test_statistics_that_cannot_be_those_of_the_latent(mean: object, std: object, data: Path, tmp_path: Path) -> None:
    folder = exported(data, tmp_path / "hub")
    write_json(folder / "statistics" / "statistics.json", {"mean": mean, "std": std})
    with user_error(
        r"hub/statistics/statistics\.json is damaged: mean and std must be two lists of one number a channel"
    ):
        Generator.from_pretrained(folder, device="cpu")


def test_a_damaged_folder_is_named(data: Path, tmp_path: Path) -> None:
    folder = exported(data, tmp_path / "hub")
    (folder / "dit" / "model.safetensors").write_bytes(b"")
    with user_error(r"hub/dit/model\.safetensors is damaged or not a safetensors file"):
        Generator.from_pretrained(folder)
    (folder / "tokenizer" / "config.json").unlink()
    with user_error(r"hub/tokenizer/config\.json does not exist"):
        Generator.from_pretrained(folder)
    (folder / "config.json").write_text("{}")
    with user_error(r"hub/config\.json is damaged: classes: field required"):
        Generator.from_pretrained(folder)


def test_names_of_another_number_of_classes_are_refused(data: Path, tmp_path: Path) -> None:
    folder = exported(data, tmp_path / "hub")
    for classes in (("cat", "dog"), tuple(map(str, range(11)))):
        write_json(folder / "config.json", {**SAMPLING.model_dump(), "classes": classes})
        with user_error(
            rf"^{folder}/config\.json names {len(classes)} classes, but the generator in {folder}/dit has 10; "
        ):
            Generator.from_pretrained(folder, device="cpu")
    write_json(folder / "config.json", {**SAMPLING.model_dump(), "classes": ()})
    assert Generator.from_pretrained(folder, device="cpu").classes == ()


@pytest.mark.parametrize("name", ["config.json", "dit", "dit/config.json", "tokenizer", "statistics"])
def test_a_part_that_is_missing_is_named(name: str, data: Path, tmp_path: Path) -> None:
    folder = exported(data, tmp_path / "hub")
    (folder / name).rename(tmp_path / "gone")
    with user_error(rf"{name}"):
        Generator.from_pretrained(folder, device="cpu")
    if name == "tokenizer":
        with user_error(r"hub/tokenizer/model\.safetensors does not exist"):
            Tokenizer.from_pretrained(folder, device="cpu")
