"""The tokenizer's networks: shapes, the order of pixels, masking and sampling."""

import pytest
import torch
from pydantic import ValidationError

from rectok.nn.transformer_config import TransformerConfig
from rectok.tokenizer.masking import random_mask
from rectok.tokenizer.model import ViTTokenizer, from_bytes, sample_posterior, split_moments, to_unit
from rectok.tokenizer.tokenizer_config import MaskingConfig, SemanticDecoderConfig, TokenizerConfig, TokenizerSizes

SMALL = TransformerConfig(width=16, depth=1, heads=2)


def config(kind: str = "transformer", image_size: int = 16) -> TokenizerConfig:
    semantic = SemanticDecoderConfig.model_validate({"kind": kind, "transformer": SMALL})
    sizes = TokenizerSizes(patch=4, channels=3, encoder=SMALL, decoder=SMALL, semantic=semantic)
    return TokenizerConfig(image_size=image_size, teacher_width=5, sizes=sizes)


@pytest.mark.parametrize("kind", ["transformer", "mlp"])
def test_shapes_with_and_without_a_mask(kind: str) -> None:
    model = ViTTokenizer(config(kind))
    images = torch.randn(2, 3, 16, 16)
    for mask in (None, random_mask(torch.rand(2, 16), 0.9, MaskingConfig(low=0.0, high=0.5))):
        moments = model.encode(images, mask)
        assert moments.shape == (2, 16 if mask is None else 9, 6)
        z, _ = split_moments(moments)
        assert model.decode(z, mask).shape == (2, 3, 16, 16)
        assert model.semantic(z, mask).shape == (2, 16, 5)
        assert model.semantic.penultimate(z, mask).shape == (2, 16, 16)


def test_the_mlp_decoder_sees_each_token_alone() -> None:
    model = ViTTokenizer(config("mlp"))
    z = torch.randn(1, 16, 3)
    other = z.clone()
    other[0, 3] += 1
    changed = (model.semantic(z) != model.semantic(other)).any(-1)[0]
    assert changed.nonzero().flatten().tolist() == [3]


def test_a_token_paints_its_own_patch() -> None:
    """With a decoder that acts per token, moving token (1, 2) must change rows 4–7 and columns 8–11 only."""
    model = ViTTokenizer(config())
    decoder = model.decoder
    torch.nn.init.dirac_(decoder.smooth.weight)
    for block in decoder.trunk.blocks:
        torch.nn.init.zeros_(block.attention.out.weight)
    z = torch.randn(1, 16, 3)
    other = z.clone()
    other[0, 1 * 4 + 2] += 1
    changed = (model.decode(z) - model.decode(other)).abs().amax((0, 1)) > 1e-7
    rows, columns = changed.nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 7, 8, 11)


def test_posterior_sampling_has_the_posteriors_mean_and_std() -> None:
    moments = torch.cat(
        [torch.full((100_000, 1), 3.0), torch.full((100_000, 1), 2 * torch.log(torch.tensor(0.5)).item())], 1
    )
    z = sample_posterior(moments, torch.randn(100_000, 1))
    assert z.mean() == pytest.approx(3.0, abs=0.01)
    assert z.std() == pytest.approx(0.5, abs=0.01)


def test_logvar_is_clamped() -> None:
    _, logvar = split_moments(torch.tensor([[0.0, 100.0], [0.0, -100.0]]))
    assert logvar.flatten().tolist() == [20.0, -30.0]


def test_bytes_become_minus_one_to_one_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    images = from_bytes(levels)
    assert (images.min(), images.max()) == (-1, 1)
    assert torch.equal((to_unit(images) * 255).round().to(torch.uint8), levels)


def test_sizes_that_cannot_fit_are_named() -> None:
    with pytest.raises(ValidationError, match="18 is not a multiple of the patch side 4"):
        config(image_size=18)
    with pytest.raises(ValidationError, match="multiple of 8"):
        TransformerConfig(width=12, depth=1, heads=2)
