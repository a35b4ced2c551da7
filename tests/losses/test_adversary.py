"""PatchGAN: its published size, and the hinge."""

import pytest
import torch

from rectok.losses.adversary import PatchGAN, adversary_loss, generator_loss


def test_the_published_network_has_2_8_million_parameters_and_70_pixel_patches() -> None:
    network = PatchGAN(filters=64, layers=3)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(2.77e6, rel=0.01)
    assert network(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 30, 30)


def test_hinge_is_zero_beyond_the_margin() -> None:
    real, fake = torch.tensor([1.0, 2.0]), torch.tensor([-1.0, -3.0])
    assert adversary_loss(real, fake) == 0
    assert adversary_loss(fake, real) == pytest.approx(0.5 * (3 + 2.5))
    assert generator_loss(fake) == 2
