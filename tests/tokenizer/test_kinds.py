"""Tokenizers of every kind are kept and loaded alike, and those of earlier versions are RecTok's."""

import json
from pathlib import Path

import pytest
import torch

from rectok.artifacts import write_json
from rectok.nn.weights import save_weights
from rectok.params import Params
from rectok.tokenizer.kinds import build_tokenizer, load_tokenizer
from rectok.tokenizer.model import Tokenizer, ViTTokenizer, split_moments
from rectok.tokenizer.rae import RAETokenizer
from rectok.tokenizer.tokenizer_config import Kind
from rectok.tokenizer.vae import VAETokenizer
from rectok.workloads.tokenizers import tokenizer_config
from tests.project import tiny

WIDTH = 16
"""Of the tiny teacher."""


def of_kind(kind: Kind) -> Params:
    return tiny(tokenizer__kind=kind, tokenizer__sizes__channels=WIDTH if kind == "rae" else 4)


def kept(model: Tokenizer, folder: Path) -> Path:
    save_weights(folder / "model.safetensors", model.state_dict())
    write_json(folder / "config.json", model.config.model_dump())
    return folder


@pytest.mark.parametrize("kind,expected", [("rectok", ViTTokenizer), ("vae", VAETokenizer), ("rae", RAETokenizer)])
def test_a_kept_tokenizer_computes_what_it_did(kind: Kind, expected: type[Tokenizer], tmp_path: Path) -> None:
    model = build_tokenizer(tokenizer_config(of_kind(kind), WIDTH)).eval()
    loaded = load_tokenizer(kept(model, tmp_path))
    assert type(loaded) is expected and loaded.config == model.config
    assert (loaded.semantic is None) == (kind != "rectok")
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    moments = loaded.encode(images)
    assert moments.shape == (2, 16, 2 * loaded.config.sizes.channels)
    assert torch.equal(moments, model.encode(images))
    mean, _ = split_moments(moments)
    assert torch.equal(loaded.decode(mean), model.decode(mean)) and loaded.decode(mean).shape == images.shape


def test_a_tokenizer_of_an_earlier_version_is_rectoks(tmp_path: Path) -> None:
    model = build_tokenizer(tokenizer_config(of_kind("rectok"), WIDTH))
    record = json.loads((kept(model, tmp_path) / "config.json").read_text())
    del record["kind"], record["teacher"]
    (tmp_path / "config.json").write_text(json.dumps(record))
    assert load_tokenizer(tmp_path).config == model.config
