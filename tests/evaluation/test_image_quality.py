import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.image import peak_signal_noise_ratio

from rectok.evaluation.image_quality import PERFECT_PSNR, lpips, psnr, ssim, to_uint8


def noisy(seed: int = 0, count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    originals = torch.randint(0, 256, (count, 3, 16, 16), generator=generator, dtype=torch.uint8)
    change = torch.randint(-20, 21, originals.shape, generator=generator)
    return (originals.int() + change).clamp(0, 255).to(torch.uint8), originals


def test_psnr_of_a_known_error() -> None:
    originals = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
    images = originals.clone()
    images[0] += 10
    images[1] += 1
    expected = 20 * torch.log10(torch.tensor([255 / 10, 255 / 1], dtype=torch.float64))
    assert torch.allclose(psnr(images, originals), expected, atol=1e-12)


def test_psnr_agrees_with_torchmetrics() -> None:
    images, originals = noisy()
    theirs = peak_signal_noise_ratio(
        images.double(), originals.double(), data_range=255.0, reduction="none", dim=(1, 2, 3)
    )
    assert torch.allclose(psnr(images, originals), theirs, atol=1e-5)


def test_a_perfect_image_has_a_finite_psnr() -> None:
    _, originals = noisy()
    assert psnr(originals, originals).tolist() == [PERFECT_PSNR] * 3


def test_ssim_is_one_for_equal_images_and_per_image() -> None:
    images, originals = noisy()
    images[0] = originals[0]
    found = ssim(images, originals)
    assert found.dtype == torch.float64
    assert found[0].item() == pytest.approx(1.0)
    assert (found[1:] < 1).all()
    assert torch.allclose(ssim(images[1:2], originals[1:2]), found[1:2])


def test_a_networks_distance_is_that_of_images_from_0_to_1() -> None:
    images, originals = noisy(count=5)

    def redder(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a[:, 0].mean((1, 2)) - b[:, 0].mean((1, 2))

    expected = (images[:, 0].double() - originals[:, 0].double()).mean((1, 2)) / 255
    found = lpips(images, originals, redder)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@given(st.integers(0, 255), st.floats(-0.49, 0.49))
def test_rounding_finds_the_nearest_level_and_truncation_the_one_below(level: int, offset: float) -> None:
    value = torch.tensor((level + offset) / 255, dtype=torch.float64)
    below = max(0, level - 1) if offset < 0 else level
    assert to_uint8(value, "round") == level
    # A whole level may land on either side of itself after division by 255.
    if abs(offset) > 1e-9:
        assert to_uint8(value, "truncate") == min(below, 255)


def test_values_outside_the_range_are_clipped() -> None:
    assert to_uint8(torch.tensor([-0.3, 1.7]), "round").tolist() == [0, 255]
