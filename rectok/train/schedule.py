"""The learning rate over training, as a pure function of the step."""

import math

from rectok.train.training_config import ScheduleConfig


def factor(step: int, steps: int, config: ScheduleConfig) -> float:
    """Share of the peak learning rate at `step` of `steps`: linear warm-up, flat, then cosine or linear decay."""
    progress = step / steps
    if progress < config.warmup:
        return (step + 1) / max(1.0, config.warmup * steps)
    hold = max(config.warmup, config.hold)
    if progress < hold or hold == 1:
        return 1.0
    done = min(1.0, (progress - hold) / (1 - hold))
    remaining = (1 + math.cos(math.pi * done)) / 2 if config.decay == "cosine" else 1 - done
    return config.final + (1 - config.final) * remaining
