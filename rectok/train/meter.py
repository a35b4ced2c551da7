"""Figures between two rows of the log, kept on the device."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rectok.errors import UserError
from rectok.train.world import World


class NotFinite(UserError):
    """Training has blown up; what was saved before is whole."""

    def __init__(self, stage: str, what: str, step: int) -> None:
        self.problem = f"{stage}: the {what} is not a finite number at step {step}"
        super().__init__(
            f"{self.problem}; the last good checkpoint stays in data/state/{stage}, and lower values of "
            f"{stage}.training.lr_per_256 or clip start it anew"
        )


class Meter:
    """Sums the parts of the loss on the device, and remembers the first step that was not finite; no sync until asked.

    It is part of a checkpoint, so that a run stopped between two rows of the log writes the same log.
    """

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.bad_step = torch.full((), -1.0, device=world.device)

    def add(self, step: int, loss: Tensor, parts: dict[str, Tensor]) -> None:
        """Take one micro-batch's figures; a part may begin later than the others."""
        finite = torch.isfinite(loss.detach())
        self.bad_step = torch.where(finite | (self.bad_step >= 0), self.bad_step, float(step))
        for name, value in {"total": loss, **parts}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach().float()
            self.counts[name] = self.counts.get(name, 0) + 1

    def check(self) -> None:
        """Raises NotFinite, naming the first step whose loss was not finite in any process."""
        bad = int(self.world.largest(self.bad_step.item()))
        if bad >= 0:
            raise NotFinite(self.name, "loss", bad)

    def read(self) -> dict[str, float]:
        """The mean of every figure since the last call, over all processes. Raises NotFinite."""
        self.check()
        means = torch.stack([self.sums[name] / count for name, count in self.counts.items()])
        figures = dict(zip(self.counts, self.world.mean(means).tolist(), strict=True))
        self.sums, self.counts = {}, {}
        return figures

    def state_dict(self) -> dict[str, Any]:
        """The sums so far, for a checkpoint."""
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the sums of a checkpoint, which is written only while all losses are finite."""
        self.sums, self.counts = state["sums"], state["counts"]
        self.bad_step.fill_(-1.0)

    def load_state_dicts(self, states: Sequence[dict[str, Any]]) -> None:
        """Take the sums of all processes, of another number than now: each takes their mean."""
        names = states[0]["sums"]
        self.sums = {name: torch.stack([state["sums"][name] for state in states]).mean(0) for name in names}
        self.sums = {name: value.to(self.world.device) for name, value in self.sums.items()}
        self.counts = dict(states[0]["counts"])
