"""The full-size models are the published ones, to the last key and parameter; built on the meta device."""

import pytest
import torch
from torch import nn

from rectok.dit.model import DiTDH
from rectok.interop.published import dit_key, tables, tokenizer_key
from rectok.nn.transformer_config import TransformerConfig
from rectok.tokenizer.model import ViTTokenizer
from rectok.tokenizer.tokenizer_config import SemanticDecoderConfig, TokenizerConfig, TokenizerSizes
from tests.interop.files import ENCODERS, full_config
from tests.reference import needs_reference, record

VIT_B = TransformerConfig(width=768, depth=12, heads=12)
MILLIONS = {"s": 193, "b": 291, "l": 618, "xl": 835}


def full_tokenizer() -> ViTTokenizer:
    semantic = SemanticDecoderConfig(kind="transformer", transformer=TransformerConfig(width=192, depth=3, heads=4))
    sizes = TokenizerSizes(patch=16, channels=128, encoder=VIT_B, decoder=VIT_B, semantic=semantic)
    with torch.device("meta"):
        return ViTTokenizer(TokenizerConfig(image_size=256, teacher_width=1024, sizes=sizes))


def full_dit(size: str) -> DiTDH:
    with torch.device("meta"):
        return DiTDH(full_config(size))


def trainable(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def shapes(model: nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def test_tokenizer_has_172_million_parameters() -> None:
    model = full_tokenizer()
    assert round((trainable(model.encoder) + trainable(model.decoder)) / 1e6) == 172
    assert round(trainable(model.semantic) / 1e6, 1) == 1.6


@pytest.mark.parametrize("size", ENCODERS)
def test_dit_has_the_published_parameters(size: str) -> None:
    assert round(trainable(full_dit(size)) / 1e6) == MILLIONS[size]


@needs_reference
def test_every_tokenizer_key_maps() -> None:
    published = record("rectok_BB_ch128.keys.json")
    assert published == {tokenizer_key(key, "dinov3"): shape for key, shape in shapes(full_tokenizer()).items()}


@needs_reference
@pytest.mark.parametrize("size", ENCODERS)
def test_every_dit_key_maps(size: str) -> None:
    published = record(f"DiTDDT_{size}_ch128.keys.json")
    model = full_dit(size)
    mapped = {dit_key(key, ENCODERS[size][1]): shape for key, shape in shapes(model).items()}
    assert published == mapped | {key: list(table.shape) for key, table in tables(model.config).items()}
