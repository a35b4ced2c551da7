"""KL against torch's own; the semantic loss in all its forms."""

import math

import pytest
import torch
from torch.distributions import Normal
from torch.distributions import kl_divergence as torch_kl

from rectok.losses.kl import kl_divergence
from rectok.losses.semantic import semantic_loss, token_weight

FORMS = ["cosine", "l2", "l1", "kl"]


def test_kl_is_the_closed_form() -> None:
    mean, logvar = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    expected = torch_kl(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0)).sum((1, 2))
    assert torch.allclose(kl_divergence(torch.cat([mean, logvar], -1)), expected, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_equal_features_cost_nothing_and_others_something(form: str) -> None:
    a, b = torch.randn(2, 4, 8), torch.randn(2, 4, 8)
    assert semantic_loss(a, a, form, 1.0) == pytest.approx(0, abs=1e-6)
    assert semantic_loss(a, b, form, 1.0) > 0.1


def test_cosine_ignores_length_and_is_two_for_opposites() -> None:
    a = torch.randn(2, 4, 8)
    assert semantic_loss(3 * a, a, "cosine", 1.0) == pytest.approx(0, abs=1e-6)
    assert semantic_loss(-a, a, "cosine", 1.0) == pytest.approx(2, abs=1e-6)


def test_kl_form_at_high_temperature_is_half_the_squared_distance_of_centred_features() -> None:
    """KL between softmaxes near uniform is ½·Var of the difference over channels (Hinton et al. 2015, section 2.1).

    The next term, 1/temperature times a cubic one, changes its sign with the features. A temperature that makes it small
    would leave nothing of the difference in float32.
    """
    a, b = torch.randn(3, 5, 16), torch.randn(3, 5, 16)
    expected = 0.5 * (a - b).var(-1, correction=0).mean()
    both_signs = (semantic_loss(a, b, "kl", 50.0) + semantic_loss(-a, -b, "kl", 50.0)) / 2
    assert both_signs == pytest.approx(expected.item(), rel=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_weights_pick_tokens(form: str) -> None:
    a, b = torch.randn(2, 4, 8), torch.randn(2, 4, 8)
    hidden = torch.tensor([[True, False, False, True], [False, True, True, False]])
    masked = semantic_loss(a, b, form, 1.0, token_weight(hidden, "masked", a))
    visible = semantic_loss(a, b, form, 1.0, token_weight(hidden, "visible", a))
    assert torch.isclose((masked + visible) / 2, semantic_loss(a, b, form, 1.0))


def test_without_a_mask_the_masked_target_costs_nothing() -> None:
    a, b = torch.randn(2, 4, 8, requires_grad=True), torch.randn(2, 4, 8)
    loss = semantic_loss(a, b, "cosine", 1.0, token_weight(None, "masked", a))
    loss.backward()
    assert loss == 0
    assert a.grad is not None
    assert math.isclose(a.grad.abs().max().item(), 0)
    assert token_weight(None, "visible", a) is None


def test_unknown_form_is_an_error() -> None:
    with pytest.raises(ValueError, match="cosin"):
        semantic_loss(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), "cosin", 1.0)
