"""The presets imagenet256 and imagenet512 say what the paper says, in the numbers that a training meets."""

from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
from torch import nn

from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.flow import time_shift
from rectok.params import Params, parse, preset_names, preset_text
from rectok.params.editing import read
from rectok.params.loading import PARAMS_FILE
from rectok.params.presets import FOLDER
from rectok.params.schema import DiTParams
from rectok.teacher.network_config import NetworkConfig
from rectok.tokenizer.model import ViTTokenizer
from rectok.train.schedule import factor
from rectok.train.training_config import TrainingConfig
from rectok.workloads.tokenizers import tokenizer_config

IMAGES = 1_281_167
PAPER = ("imagenet256", "imagenet512")
FOR_A_COMMENT = {
    "imagenet256": {"features.storage", "statistics.std"},
    "imagenet512": {"teacher.training.crop_padding"},
}
"""Values that a preset's file repeats, to say why."""


def preset(name: str) -> Params:
    return parse(preset_text(name), f"preset {name}")


def millions(*modules: nn.Module) -> int:
    return round(sum(p.numel() for module in modules for p in module.parameters()) / 1e6)


def lr(training: TrainingConfig, epoch: float) -> float:
    steps = training.steps(IMAGES)
    return (
        training.lr_per_256
        * training.batch
        / 256
        * factor(round(epoch / training.epochs * steps), steps, training.schedule)
    )


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_complete_and_knows_its_name(name: str) -> None:
    assert preset(name).preset == name


def test_params_yaml_is_the_default_preset() -> None:
    assert PARAMS_FILE.read_text(encoding="utf-8") == preset_text("digits")


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted names of all values."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, f"{name}.{key}" if name else key)
    else:
        yield name, tree


@pytest.mark.parametrize("name", preset_names())
def test_a_presets_file_shows_only_what_differs(name: str) -> None:
    own = read((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    below = own.pop("builds_on")
    known = dict(leaves(read((FOLDER / "base.yaml").read_text() if below == "base" else preset_text(below))))
    same = {key for key, value in leaves(own) if known.get(key) == value}
    assert same - {"teacher.network.options.output_stride"} == FOR_A_COMMENT.get(name, set())


def test_a_presets_comments_take_the_place_of_those_below_it() -> None:
    below, text = (preset_text(name).splitlines() for name in PAPER)
    both = [line.strip() for line in text if "#" in line and line in below]
    assert both.count("training:  # of a proxy") == 2  # of the teacher and of the metric network
    assert "late_hours: 72.0" in map(str.strip, text) and "about 11 hours" not in "".join(text)
    [[first], [second]] = ([line for line in lines if "are held in memory" in line] for lines in (below, text))
    assert first == second.replace("5.4", "2.7")


@pytest.mark.parametrize("name", PAPER)
def test_sizes(name: str) -> None:
    params = preset(name)
    grid = params.image.size // params.tokenizer.sizes.patch
    with torch.device("meta"):
        tokenizer = ViTTokenizer(tokenizer_config(params, teacher_width=1024))
        dit, autoguidance = (_dit(section, grid, params) for section in (params.dit, params.autoguidance))
    # Four times the tokens have as many position embeddings, in encoder and decoder; DiT^DH learns none.
    assert millions(tokenizer.encoder, tokenizer.decoder) == (172 if name == "imagenet256" else 173)
    assert (millions(dit), millions(autoguidance)) == (835, 193)


def _dit(section: DiTParams, grid: int, params: Params) -> DiTDH:
    sizes = DiTConfig(grid=grid, channels=params.tokenizer.sizes.channels, classes=1000, sizes=section.sizes)
    return DiTDH(sizes)


def test_the_shift_follows_the_side() -> None:
    for name, tokens, shift in (("imagenet256", 256, 8**0.5), ("imagenet512", 1024, 32**0.5)):
        params = preset(name)
        assert (params.image.size // params.tokenizer.sizes.patch) ** 2 == tokens
        assert time_shift(tokens, params.tokenizer.sizes.channels) == pytest.approx(shift)


@pytest.mark.parametrize("name", PAPER)
def test_lengths_and_learning_rates(name: str) -> None:
    params = preset(name)
    tokenizer, decoder, dit, autoguidance = (
        getattr(params, s).training for s in ("tokenizer", "decoder", "dit", "autoguidance")
    )
    assert [t.steps(IMAGES) for t in (tokenizer, decoder, dit, autoguidance)] == [250_228, 125_114, 1_000_912, 37_535]
    assert {t.batch for t in (tokenizer, decoder, dit, autoguidance)} == {1024}
    assert [lr(tokenizer, epoch) for epoch in (25, 50, 125, 200)] == pytest.approx([2e-4, 4e-4, 2e-4, 0], rel=1e-4)
    assert [lr(decoder, epoch) for epoch in (2.5, 5, 52.5, 100)] == pytest.approx([1e-4, 2e-4, 1e-4, 0], rel=1e-3)
    assert [lr(dit, epoch) for epoch in (0, 20, 40, 420, 800)] == pytest.approx([2e-4, 2e-4, 2e-4, 1.1e-4, 2e-5])
    assert [lr(autoguidance, epoch) for epoch in (0, 15, 30)] == pytest.approx([2e-4] * 3)
    assert [t.clip for t in (tokenizer, decoder, dit, autoguidance)] == [3.0, 3.0, 1.0, 1.0]
    assert [t.ema for t in (tokenizer, decoder, dit, autoguidance)] == [0.999, 0.999, 0.9995, 0.9995]
    assert {t.precision for t in (tokenizer, decoder, dit, autoguidance)} == {"bfloat16"}


@pytest.mark.parametrize("name", PAPER)
def test_losses_and_protocol(name: str) -> None:
    params = preset(name)
    losses = params.tokenizer.losses
    assert (losses.pixel, losses.perceptual.weight, losses.kl, losses.semantic.weight) == (1.0, 1.0, 1e-6, 1.0)
    assert (losses.perceptual.lpips, losses.perceptual.logits) == (1.0, 0.1)
    assert (losses.adversary.weight, losses.adversary.start, losses.adversary.filters) == (0.1, 0.5, 64)
    assert (params.decoder.losses.adversary.start, params.decoder.losses.pixel) == (0.0, 1.0)
    assert (params.dit.label_dropout, params.autoguidance.label_dropout) == (0.1, 0.1)
    generation = params.generation
    assert (generation.per_class, generation.sampler.points, generation.rounding) == (50, 150, "truncate")
    assert (generation.guidance.kind, generation.guidance.scale) == ("autoguidance", 1.29)
    assert params.reconstruction.split == params.probe.split == "val"


@pytest.mark.parametrize("name", PAPER)
def test_teachers_are_fed_as_timm_says_and_have_a_token_for_each_of_the_tokenizer(name: str) -> None:
    params = preset(name)
    grid = params.image.size // params.tokenizer.sizes.patch
    for network in (params.teacher.network, *alternatives(name)):
        known = timm.get_pretrained_cfg(network.name)
        assert known is not None and known.hf_hub_id, network.name
        assert (network.mean, network.std) == (known.mean, known.std)
        assert network.licence.lower().replace(" ", "-") == known.license
        with torch.device("meta"):
            trunk = timm.create_model(network.name, **network.options)
        assert network.image_size == grid * trunk.patch_embed.patch_size[0]
        assert trunk.num_features == 1024


def alternatives(name: str) -> list[NetworkConfig]:
    """The teachers that stand in the preset as comments, uncommented one by one."""
    lines = preset_text(name).split("teacher:\n")[1].split("  training:")[0].splitlines()[1:]  # after its seed
    starts = [i for i, line in enumerate(lines) if line.startswith("  # network:")]
    assert len(starts) == 2
    found = []
    for start in starts:
        block = [line.replace("  # ", "  ", 1) for line in lines[start : start + 9]]
        text, own = preset_text(name).split("teacher:\n"), "\n".join(lines[:9])
        found.append(
            parse("teacher:\n".join([text[0], text[1].replace(own, "\n".join(block), 1)]), name).teacher.network
        )
    return found
