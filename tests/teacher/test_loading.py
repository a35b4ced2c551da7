from pathlib import Path

import pytest
import torch

from rectok.artifacts import read_json, write_json
from rectok.teacher.loading import load_network, save_network
from rectok.teacher.network_config import NetworkConfig
from tests.errors import user_error
from tests.teacher.networks import FAMILIES, RESNET, network

IMAGES = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("of", FAMILIES, ids=lambda c: c.name)
def test_a_network_comes_back_as_it_was(of: NetworkConfig, tmp_path: Path) -> None:
    before = network(of, classes=7)
    save_network(tmp_path, before, {"source": "a test"})
    after = load_network(tmp_path)
    assert after.config == of
    assert after.classes == 7
    assert not after.training and not any(p.requires_grad for p in after.parameters())
    assert torch.equal(after.tokens(IMAGES, 4), before.tokens(IMAGES, 4))
    assert torch.equal(after.logits(IMAGES), before.logits(IMAGES))
    assert read_json(tmp_path / "config.json")["provenance"] == {"source": "a test"}


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_network(tmp_path / name, network(RESNET), {"source": "a test", "licence": "none", "more": "x"})
    for file in ("model.safetensors", "config.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_weights_of_other_sizes_are_named(tmp_path: Path) -> None:
    save_network(tmp_path, network(RESNET, classes=10), {})
    record = read_json(tmp_path / "config.json")
    write_json(tmp_path / "config.json", {**record, "classes": 3})
    with user_error(r"tensor fc.bias has shape \[10\], but this model needs \[3\]"):
        load_network(tmp_path)
