"""Weights and their exponential moving average in float32, also where ZeRO 3 has split them over processes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rectok.train.power_average import Profile, decay

if TYPE_CHECKING:
    from rectok.train.working_weights import Weight


class EMA:
    """Averages what this process holds of each trainable parameter: all of it, or its ZeRO-3 partition.

    Beside the average that a training ends with there is one over a power of the step for each of `lengths`
    (rectok/train/power_average.py), by that length in `powers`.
    """

    def __init__(self, module: nn.Module, decay: float, lengths: Sequence[float] = ()) -> None:
        self.decay = decay
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.average = self._weights()
        self.powers = {length: self._weights() for length in lengths}
        self.exponents = {length: Profile(1, length).exponent for length in lengths}
        self.elsewhere: Mapping[nn.Parameter, Weight] = {}

    def forget(self, step: int) -> float:
        """1 − d of `step`, with d = min(decay, (1 + step)/(10 + step)) so that the average starts quickly."""
        return 1 - min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """average ← d·average + (1 − d)·weights, but for those that are updated `elsewhere`."""
        pairs = zip(self.average, self.parameters, strict=True)
        here = [(average, held(p).float()) for average, p in pairs if p not in self.elsewhere]
        torch._foreach_lerp_([average for average, _ in here], [weight for _, weight in here], self.forget(step))
        for length, averages in self.powers.items():
            masters = [self.elsewhere[p].master if p in self.elsewhere else held(p).float() for p in self.parameters]
            torch._foreach_lerp_(averages, masters, 1 - decay(self.exponents[length], step + 1))

    def _weights(self) -> list[Tensor]:
        return [held(p).detach().float().clone() for p in self.parameters]

    def finite(self) -> bool:
        """Whether no average has become NaN or infinite, as it does where a weight has."""
        return all(bool(torch.isfinite(average).all()) for average in self.average)

    @contextmanager
    def swapped(self, averages: list[Tensor] | None = None) -> Iterator[None]:
        """Inside, the module holds the average, or others of `powers`; afterwards its own weights again."""
        own = [held(p).detach().clone() for p in self.parameters]
        self._assign(self.average if averages is None else averages)
        try:
            yield
        finally:
            self._assign(own)

    @torch.no_grad()
    def _assign(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            held(parameter).copy_(value)
            if hasattr(parameter, "ds_tensor"):
                parameter.partition()  # type: ignore[attr-defined] # forget a gathered copy, which ZeRO 3 keeps of small parameters

    def state_dict(self) -> dict[str, list[Tensor]]:
        """The averages, for a checkpoint: `average`, and those of `powers` by their lengths."""
        return {"average": self.average, **{f"{length}": averages for length, averages in self.powers.items()}}

    def load_state_dict(self, state: Mapping[str, list[Tensor]]) -> None:
        """Take the averages of a checkpoint."""
        for name, averages in self.state_dict().items():
            for mine, theirs in zip(averages, state[name], strict=True):
                mine.copy_(theirs)


def held(parameter: nn.Parameter) -> Tensor:
    """What this process holds of a parameter: DeepSpeed keeps a ZeRO-3 partition in `ds_tensor`."""
    return getattr(parameter, "ds_tensor", parameter.data)


def full_weights(module: nn.Module) -> dict[str, Tensor]:
    """The state dict of `module` on the CPU, gathered from all processes where ZeRO 3 has split it."""
    parameters = list(module.parameters())
    if not any(hasattr(p, "ds_tensor") for p in parameters):
        return _copied(module)
    import deepspeed

    with deepspeed.zero.GatheredParameters(parameters):
        return _copied(module)


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
