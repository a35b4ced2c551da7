"""How long, how fast and with what precision a network trains."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from rectok.config import Config
from rectok.pipeline.cluster_config import KubernetesConfig, SlurmConfig

FEW_STEPS = {
    "teacher": 100,
    "metric_network": 100,
    "tokenizer": 400,
    "decoder": 50,
    "dit": 500,
    "autoguidance": 100,
}
"""Fewer steps than these leave a network of the small presets untrained."""
LENGTHS_PAGE = "docs/guides/images.md#3-train"
LONGEST = 0.28
"""Of the lengths of post-hoc averages: σ_rel of γ = 0, the plain mean of all steps, is √(1/12) = 0.289."""


def too_few(stage: str, steps: int) -> str:
    """A sentence that warns of a training of `stage` that is too short; empty for any other."""
    least = FEW_STEPS[stage]
    if steps >= least:
        return ""
    name = {"dit": "a DiT", "autoguidance": "an autoguidance model"}.get(stage, f"a {stage.replace('_', ' ')}")
    return f"{steps} steps: too few for {name}; set {stage}.training.min_steps to {least} or more; see {LENGTHS_PAGE}"


class ScheduleConfig(Config):
    """Learning rate over training: linear warm-up to share `warmup`, flat to share `hold`, then `decay` to final·lr."""

    warmup: float = Field(ge=0, le=1)
    hold: float = Field(ge=0, le=1)
    decay: Literal["cosine", "linear"]
    final: float = Field(ge=0, le=1)


class PosthocEmaConfig(Config):
    """Averages over a power of the step, of two `lengths` (σ_rel), whose `snapshots` `rectok ema` turns into any other length.

    See rectok/train/power_average.py. 0 snapshots: none are kept.
    """

    lengths: tuple[float, float]
    snapshots: int = Field(ge=0, le=2**10)

    @model_validator(mode="after")
    def _lengths_differ(self) -> Self:
        short, long = self.lengths
        if not 0 < short < long <= LONGEST:
            raise ValueError(f"lengths {list(self.lengths)} must rise and lie in (0, {LONGEST}]")
        return self


class RollbackConfig(Config):
    """Back to the last checkpoint, at most `times` times, where the loss is no number or above `spike` times its recent median.

    See rectok/train/rollback.py. 0 as `spike` looks at numbers alone.
    """

    times: int = Field(ge=0, le=2**10)
    spike: float = Field(ge=0)


class MuonConfig(Config):
    """Muon (arXiv 2502.16982) for the matrices of attention and MLP, at lr_per_256 · batch / 256; AdamW trains the rest.

    0 as `lr_per_256` leaves all to AdamW. The step has the RMS that AdamW's has, so its learning rates are a good start.
    """

    lr_per_256: float = Field(ge=0)
    momentum: float = Field(ge=0, lt=1)


class TrainingConfig(Config):
    """One network's training. `batch` is the global batch; the learning rate is lr_per_256 · batch / 256.

    It lasts `epochs`, but at least `min_steps` optimizer steps, so that few images are seen more often. With 0 `epochs`
    nothing is trained: the network is taken as it is.
    """

    epochs: float = Field(ge=0)
    min_steps: int = Field(ge=0, le=2**40)
    batch: int = Field(gt=0, le=2**20)
    micro_batch: int = Field(gt=0, le=2**20)
    lr_per_256: float = Field(gt=0)
    betas: tuple[float, float]
    weight_decay: float = Field(ge=0)
    clip: float = Field(gt=0)
    ema: float = Field(ge=0, lt=1)
    schedule: ScheduleConfig
    precision: Literal["float32", "bfloat16"]
    zero_stage: Literal[0, 1, 2, 3]
    offload: Literal["none", "cpu"]
    checkpoint_every: int = Field(gt=0, description="steps between two resumable checkpoints")
    log_every: int = Field(gt=0, description="steps between two rows of the log")
    rollback: RollbackConfig
    muon: MuonConfig

    def steps(self, images: int) -> int:
        """Optimizer steps that see `epochs` times `images` images, or `min_steps` if that is more."""
        return max(1, self.min_steps, math.ceil(self.epochs * images / self.batch))

    def on_rows(self, steps: float) -> int:
        """The multiple of `log_every`, at least one, that is nearest to `steps`: what falls on rows of the log."""
        return self.log_every * max(1, round(steps / self.log_every))

    @model_validator(mode="after")
    def _accumulates_evenly(self) -> Self:
        if self.batch % self.micro_batch:
            raise ValueError(f"batch {self.batch} is not a multiple of micro_batch {self.micro_batch}")
        return self

    @model_validator(mode="after")
    def _muon_has_whole_matrices(self) -> Self:
        if self.muon.lr_per_256 and self.zero_stage:
            raise ValueError(
                f"muon.lr_per_256 {self.muon.lr_per_256:g} needs whole matrices in each process, but zero_stage "
                f"{self.zero_stage} splits them; set zero_stage to 0, or muon.lr_per_256 to 0"
            )
        return self

    @model_validator(mode="after")
    def _averages_forget(self) -> Self:
        if any(not 0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {list(self.betas)} must lie in [0, 1)")
        return self


class MachineConfig(Config):
    """Where training runs. Nothing here changes what is learnt, so no stage depends on it.

    `processes` per machine (0: one per GPU, or one on a CPU); `hostfile` is DeepSpeed's, empty for a single machine.
    """

    device: Literal["auto", "cpu", "cuda"]
    processes: int = Field(ge=0, le=2**10)
    hostfile: str
    workers: int = Field(
        ge=0,
        le=2**10,
        description="processes that load images for each training process, decode them for other stages, and pack a shard",
    )
    compile: bool | Literal["auto"] = Field(
        description="torch.compile networks; auto does so on a GPU where they run often enough to pay for the minute it takes"
    )
    cuda_graphs: bool | Literal["auto"] = Field(
        description="start the kernels of a training step at once, on one GPU in bfloat16 with one micro-batch a step; "
        "auto does so for steps that are shorter on the GPU than on the host"
    )
    timeout: float = Field(
        gt=0,
        le=10_000,
        description="minutes that one process of several waits for the others before it ends with a sentence",
    )
    executor: Literal["local", "slurm", "kubernetes"] = Field(
        description="where `rectok repro` runs shards and stages that use an accelerator"
    )
    slurm: SlurmConfig
    kubernetes: KubernetesConfig

    @model_validator(mode="after")
    def _names_image_and_volume(self) -> Self:
        if self.executor == "kubernetes":
            for name in ("image", "namespace", "claim"):
                if not getattr(self.kubernetes, name):
                    raise ValueError(f"kubernetes.{name} is empty, but the executor is kubernetes")
        return self
