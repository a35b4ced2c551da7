"""What is exported is what was imported, to the last bit; and a hub folder loads and speaks for itself."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from rectok.artifacts import write_json
from rectok.errors import UserError
from rectok.interop.card import Facts, Figure, Helper, render
from rectok.interop.exporting import read_network, write_checkpoint, write_hub
from rectok.interop.importing import convert, keep
from rectok.interop.reading import Kind
from rectok.nn.config import TransformerConfig
from rectok.nn.weights import save_weights
from rectok.tokenizer.config import SemanticDecoderConfig, TokenizerConfig, TokenizerSizes
from rectok.tokenizer.loading import load_tokenizer
from rectok.tokenizer.model import Tokenizer
from tests.interop import files
from tests.reference import needs_reference, tensors

SMALL = TransformerConfig(width=16, depth=1, heads=2)


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor), key


def own_tokenizer(folder: Path, kind: str = "transformer") -> Tokenizer:
    """A tokenizer as a stage leaves it, its last weights beside the averaged ones."""
    semantic = SemanticDecoderConfig.model_validate({"kind": kind, "transformer": SMALL})
    sizes = TokenizerSizes(patch=4, channels=4, encoder=SMALL, decoder=SMALL, semantic=semantic)
    model = Tokenizer(TokenizerConfig(image_size=16, teacher_width=8, sizes=sizes))
    save_weights(folder / "model.safetensors", model.state_dict())
    save_weights(folder / "raw.safetensors", {key: 2 * tensor for key, tensor in model.state_dict().items()})
    write_json(folder / "config.json", model.config.model_dump())
    return model


@needs_reference
@pytest.mark.parametrize("kind,name", [("tokenizer", "tokenizer"), ("dit", "dit"), ("guide", "guide")])
def test_import_then_export_is_equal_in_every_tensor(kind: Kind, name: str, tmp_path: Path) -> None:
    weights = tensors(f"{name}.weights")
    path = files.checkpoint(tmp_path / "x.pth", weights)
    keep(convert(path, kind, "ema", files.HEADS if kind == "tokenizer" else None), tmp_path / kind)
    write_checkpoint(read_network(tmp_path / kind, kind), tmp_path / "back.pth", "dinov3")
    tree = torch.load(tmp_path / "back.pth", weights_only=True)
    assert list(tree) == ["model_ema"]
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
    with pytest.raises(UserError, match="the semantic decoder is of kind mlp, but published checkpoints know"):
        write_checkpoint(network, tmp_path / "x.pth", "dinov3")
    assert not (tmp_path / "x.pth").exists()
    write_hub(network, tmp_path / "hub", "card")
    assert_same(load_tokenizer(tmp_path / "hub").state_dict(), network.weights)
    assert sorted(file.name for file in (tmp_path / "hub").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_a_folder_without_a_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none/config\.json is missing"):
        read_network(tmp_path / "none", "dit")
    own_tokenizer(tmp_path / "own")
    with pytest.raises(UserError, match=r"own/config\.json is damaged"):
        read_network(tmp_path / "own", "dit")
    save_weights(tmp_path / "own" / "model.safetensors", {"x": torch.ones(1)})
    with pytest.raises(UserError, match=r"own/model\.safetensors lacks the tensor"):
        read_network(tmp_path / "own", "tokenizer")


def facts(**changes: object) -> Facts:
    plain: dict[str, object] = {
        "kind": "dit",
        "sizes": "Latents of 4 channels",
        "parameters": 1_234_567,
        "training": {"trained": True, "steps": 12, "images": 768, "final_loss": 0.123456},
        "source": {},
        "helpers": [Helper("judge of this project", "stand-in: resnet10t trained here", "trained here")],
        "figures": [Figure("gFID", "2.270", "lower", "stand-in: resnet10t")],
        "protocol": {"generation": {"images_per_class": 50}},
    }
    return Facts(**{**plain, **changes})  # type: ignore[arg-type]


def test_the_card_tells_protocol_figures_and_stand_ins() -> None:
    card = render(facts())
    assert card.startswith("---\nlibrary_name: rectok\nlicense: other\ntags: [rectok, image-generation,")
    for text in (
        "# DiT^DH generator", "1.2 M numbers", "for 12 steps on 768 images", "was 0.1235",
        "- judge of this project: stand-in: resnet10t trained here (licence: trained here)\n",
        "| gFID | 2.270 | lower | stand-in: resnet10t |\n", "- images per class: 50\n",
    ):  # fmt: skip
        assert text in card


def test_the_card_says_what_is_not_known() -> None:
    card = render(facts(training={}, figures=[], protocol={}, helpers=[]))
    assert "Nothing is recorded about its training." in card and "It has not been evaluated here." in card
    card = render(facts(training={"trained": False, "source": "s3://w/dit"}))
    assert "the weights were taken from `s3://w/dit`" in card
    card = render(facts(source={"file": "x.pth", "sha256": "00", "weights": "model_ema"}))
    assert "Imported from the published checkpoint `x.pth` (sha256 `00`; weights:\n`model_ema`)." in card
