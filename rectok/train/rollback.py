"""Where a loss is NaN, or jumps: back to the last checkpoint, and past the batches that led there."""

from collections.abc import Mapping, Sequence
from statistics import median

from rectok.errors import UserError
from rectok.train.checkpoint import Checkpoints, State
from rectok.train.learner import Learner
from rectok.train.meter import NotFinite
from rectok.train.training_config import RollbackConfig

RECENT = 5
"""Rows of the log whose median a jump is measured by."""


class Spike(UserError):
    """A loss that is much larger than it was."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def require_calm(stage: str, state: State, figures: Mapping[str, float], config: RollbackConfig) -> None:
    """Raises Spike where the loss of a new row is above `config.spike` times the median of those before.

    `figures` are the means over all processes, so all of them decide alike. Rows count that have the same parts of the loss,
    since it may jump where one joins it. A loss that is usually not above 0, as with an adversary, has no multiple to compare
    with. When no rollback is left, a jump is not looked for, because it alone ends no training.
    """
    before = [row["total"] for row in state.rows[-RECENT:] if figures.keys() <= row.keys()]
    if not config.spike or len(before) < RECENT or len(state.skipped) >= config.times:
        return
    usual, loss = median(before), figures["total"]
    if loss > config.spike * usual > 0:
        raise Spike(
            f"{stage}: the loss is {loss:.4g} at step {state.step}, more than {config.spike:g} times {usual:.4g}"
        )


def go_back(
    error: NotFinite | Spike, state: State, learner: Learner, checkpoints: Checkpoints, config: RollbackConfig
) -> None:
    """Restore the last checkpoint into `state`, which then skips as many batches as followed it.

    Raises `error` when no rollback is left. A run that is killed meets the same loss again, and goes back in the same way: it
    ends at the same weights.
    """
    if len(state.skipped) >= config.times:
        raise error
    learner.rest()
    failed, skipped = state.step, state.skipped
    if not checkpoints.restore(state):
        raise error
    state.skipped = [*skipped, [state.step, failed]]
    learner.skipped = skipped_steps(state.skipped)
    if learner.world.first:
        place = f"training goes back to step {state.step} and leaves out the batches up to step {failed}"
        count = f"rollback {len(state.skipped)} of {config.times}"
        print(f"warning: {error.problem}; {place} ({count})", flush=True)


def skipped_steps(skipped: Sequence[Sequence[int]]) -> int:
    """By how many steps a training is ahead in its data: all that were trained and undone."""
    return sum(failed - step for step, failed in skipped)
