"""What is exported is what was imported, to the last bit; and a hub folder loads."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from rectok.interop.exporting import read_network, write_checkpoint
from rectok.interop.hub import write_network
from rectok.interop.loading import convert, keep
from rectok.interop.reading import Kind
from rectok.nn.weights import save_weights
from rectok.tokenizer.kinds import load_tokenizer
from rectok.tokenizer.model import ViTTokenizer
from tests.errors import user_error
from tests.interop import files
from tests.networks import keep as keep_network
from tests.reference import needs_reference, tensors
from tests.tokenizer.test_model import config


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor), key


def own_tokenizer(folder: Path, kind: str = "transformer") -> ViTTokenizer:
    """A tokenizer as a stage leaves it, its last weights beside the averaged ones."""
    model = ViTTokenizer(config(kind))
    keep_network(folder.name, model, folder.parent)
    save_weights(folder / "raw.safetensors", {key: 2 * tensor for key, tensor in model.state_dict().items()})
    return model


@needs_reference
@pytest.mark.parametrize("kind,name", [("tokenizer", "tokenizer"), ("dit", "dit"), ("autoguidance", "guide")])
def test_import_then_export_is_equal_in_every_tensor(kind: Kind, name: str, tmp_path: Path) -> None:
    weights = tensors(f"{name}.weights")
    path = files.checkpoint(tmp_path / "x.pth", weights)
    keep(convert(path, kind, "ema", files.HEADS if kind == "tokenizer" else None), tmp_path / kind)
    write_checkpoint(read_network(tmp_path / kind, kind), tmp_path / "back.pth", "dinov3")
    tree = torch.load(tmp_path / "back.pth", weights_only=True)
    assert list(tree) == ["model_ema", "rectok"]
    assert_same(tree["model_ema"], weights)


def test_export_then_import_is_equal_in_every_tensor(tmp_path: Path) -> None:
    own_tokenizer(tmp_path / "own")
    write_checkpoint(read_network(tmp_path / "own", "tokenizer"), tmp_path / "x.pth", "siglip")
    for which, name in (("ema", "model"), ("plain", "raw")):
        converted = convert(tmp_path / "x.pth", "tokenizer", which, files.Heads(2, 2, 2))
        assert converted.published.teacher == "siglip"
        assert converted.config == read_network(tmp_path / "own", "tokenizer").config
        assert_same(dict(converted.weights), load_file(tmp_path / "own" / f"{name}.safetensors"))


def test_a_network_that_was_never_published_is_for_the_hub_only(tmp_path: Path) -> None:
    own_tokenizer(tmp_path / "own", kind="mlp")
    network = read_network(tmp_path / "own", "tokenizer")
    with user_error("the semantic decoder is of kind mlp, but published checkpoints know"):
        write_checkpoint(network, tmp_path / "x.pth", "dinov3")
    assert not (tmp_path / "x.pth").exists()
    write_network(network, "card", tmp_path / "hub")
    assert_same(load_tokenizer(tmp_path / "hub").state_dict(), network.weights)
    assert {file.name for file in (tmp_path / "hub").iterdir()} == {"README.md", "config.json", "model.safetensors"}


def test_a_folder_without_a_network_is_named(tmp_path: Path) -> None:
    with user_error(r"none/model\.safetensors does not exist"):
        read_network(tmp_path / "none", "dit")
    own_tokenizer(tmp_path / "own")
    with user_error(r"own/config\.json is damaged"):
        read_network(tmp_path / "own", "dit")
    save_weights(tmp_path / "own" / "model.safetensors", {"x": torch.ones(1)})
    with user_error(r"own/model\.safetensors lacks the tensor"):
        read_network(tmp_path / "own", "tokenizer")
