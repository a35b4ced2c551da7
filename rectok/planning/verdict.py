"""Whether a run fits the GPUs, in one sentence, and what to change where it does not."""

from rectok.params import Params
from rectok.planning.plan import Plan, memory_of
from rectok.planning.schedule import total_hours
from rectok.planning.sizes import Memory
from rectok.train.training_config import TrainingConfig

GB = 1e9


def verdict(plan: Plan, params: Params, memory_gb: float) -> str:
    """Such as "fits 8 × 80 GB with dit.training.micro_batch 512 (now 1024); 293 h", or which training cannot fit."""
    gpus, changes = f"{plan.gpus} × {memory_gb:g} GB", []
    for row in planned_memory(plan, params):
        config, key = training(params, row.training), f"{row.training}.training"
        if config.micro_batch % plan.gpus:
            return f"does not run on {plan.gpus} GPUs: {key}.micro_batch {config.micro_batch} is no multiple of {plan.gpus}"
        batch = fitting_micro_batch(row, config, memory_gb, config.micro_batch)
        if batch is None:
            least = (row.total - row.activations) / GB
            change = f"raise {key}.zero_stage, set {key}.offload to cpu, or take more GPUs"
            return f"does not fit {gpus}: {row.training} needs {least:.3g} GB on each before any activation; {change}"
        if batch != config.micro_batch:
            changes.append(f"{key}.micro_batch {batch} (now {config.micro_batch})")
    condition = f" with {', '.join(changes)}" if changes else ""
    return f"fits {gpus}{condition}; {hours_text(total_hours(plan.estimates))}"


def planned_memory(plan: Plan, params: Params) -> list[Memory]:
    """Of the trainings that a run has, under their own ZeRO stage on all GPUs."""
    rows = [row for row in plan.memory if row.gpus == plan.gpus and training(params, row.training).epochs]
    return [row for row in rows if row.zero_stage == training(params, row.training).zero_stage]


def training(params: Params, stage: str) -> TrainingConfig:
    """How `stage` is trained."""
    config: TrainingConfig = getattr(params, stage).training
    return config


def smaller_micro_batch(params: Params, stage: str, gpus: int, memory_gb: float) -> int | None:
    """The largest micro-batch below today's with which the training `stage` fits `gpus` GPUs; None where none does."""
    config = training(params, stage)
    return fitting_micro_batch(memory_of(params, stage, gpus), config, memory_gb, config.micro_batch - 1)


def fitting_micro_batch(row: Memory, config: TrainingConfig, memory_gb: float, most: int) -> int | None:
    """The largest micro-batch up to `most` that fits; None where none does. Activations grow with it, the rest does not."""
    fixed = row.total - row.activations
    sizes = [size for size in range(1, most + 1) if not config.batch % size and not size % row.gpus]
    fits = [size for size in sizes if fixed + row.activations * size / config.micro_batch <= memory_gb * GB]
    return max(fits, default=None)


def hours_text(hours: float) -> str:
    """Hours with three digits; below one, minutes or seconds."""
    if hours >= 1:
        return f"{hours:.3g} h"
    seconds = hours * 3600
    if seconds >= 60:
        return f"{seconds / 60:.3g} min"
    return f"{seconds:.0f} s" if seconds >= 1 else "< 1 s"
