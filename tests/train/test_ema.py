import pytest
import torch
from torch import nn

from rectok.train.ema import EMA


def test_the_average_follows_its_formula_with_a_quick_start() -> None:
    module = nn.Linear(1, 1, bias=False)
    ema = EMA(module, 0.5)
    expected = module.weight.item()
    for step in range(20):
        with torch.no_grad():
            module.weight.fill_(step)
        ema.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        assert ema.average[0].item() == pytest.approx(expected, rel=1e-6)


def test_only_what_is_trained_is_averaged_and_in_float32() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).bfloat16()
    module[0].requires_grad_(False)
    ema = EMA(module, 0.9)
    assert len(ema.average) == 2
    assert {average.dtype for average in ema.average} == {torch.float32}


def test_swapped_weights_come_back() -> None:
    module = nn.Linear(2, 2)
    ema = EMA(module, 0.9)
    with torch.no_grad():
        module.weight.add_(1)
    own = module.weight.detach().clone()
    with pytest.raises(RuntimeError, match="inside"), ema.swapped():
        assert torch.allclose(module.weight, own - 1, atol=1e-6)
        raise RuntimeError("inside")
    assert torch.equal(module.weight, own)


def test_state_goes_round() -> None:
    first, second = EMA(nn.Linear(3, 2), 0.9), EMA(nn.Linear(3, 2), 0.9)
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(first.average, second.average, strict=True))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_broken_weight_shows_in_the_average(value: float) -> None:
    module = nn.Linear(2, 2)
    ema = EMA(module, 0.999)
    assert ema.finite()
    with torch.no_grad():
        module.bias[1] = value
    ema.update(1000)
    assert not ema.finite()
