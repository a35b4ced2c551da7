"""What is measured, and on how much."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rectok.config import Config
from rectok.sampling.sampler_config import GuidanceConfig, SamplerConfig
from rectok.teacher.network_config import TIMM, TORCH_FIDELITY, NetworkConfig

INCEPTION = "inception-v3-compat"
"""Name of the metric network that published figures are computed with (rectok/evaluation/inception.py)."""


DINOV2 = {
    "dinov2-vit-b-14": "vit_base_patch14_dinov2",
    "dinov2-vit-l-14": "vit_large_patch14_dinov2",
}
"""torch-fidelity's names of DINOv2, with timm's (rectok/evaluation/dinov2.py)."""
LIBRARIES = (TIMM, TORCH_FIDELITY)


class GenerationConfig(Config):
    """gFID protocol: `per_class` EMA samples of every class, unguided and guided.

    `labels` are balanced, or `random`: as many in all, each drawn uniformly from the classes. Published figures have either, and
    balanced ones are better (Internal Guidance, arXiv 2512.24176: 1.07 against 1.19).
    """

    per_class: int = Field(gt=0, le=2**20)
    labels: Literal["balanced", "random"]
    batch: int = Field(gt=0, le=2**20)
    sampler: SamplerConfig
    guidance: GuidanceConfig
    rounding: Literal["round", "truncate"]
    reference: str = Field(description="npz with mu and sigma, or empty for the train split")
    neighbours: int = Field(gt=0, le=2**10, description="k of precision and recall")
    spaces: tuple[NetworkConfig, ...] = Field(description="networks in whose features samples are compared, too")

    @model_validator(mode="after")
    def _spaces_have_names_and_weights(self) -> Self:
        names = [space.name for space in self.spaces]
        for place, space in enumerate(self.spaces):
            if names.index(space.name) != place:
                raise ValueError(f"spaces names {space.name} twice")
            if not space.weights:
                raise ValueError(
                    f"spaces.{place}.weights is empty, but nothing is trained for it; name a file, or timm"
                )
            if space.name in DINOV2 and space.weights in LIBRARIES:
                raise ValueError(
                    f"spaces.{place}.weights is {space.weights}, but must be the released file of {space.name}; see also timm's "
                    f"{DINOV2[space.name]}"
                )
        return self


class TrainingEvaluationConfig(Config):
    """Samples of a generator in training, unguided and from the average of its weights, and the gFID that it shall reach.

    dvc.yaml takes `waits_for` as a dependency, so that a generator that is not evaluated needs no metric network.
    """

    per_class: int = Field(gt=0, le=2**20)
    batch: int = Field(gt=0, le=2**20)
    points: int = Field(gt=1, le=2**16, description="time points of Euler's method")
    below: float = Field(gt=0, description="k of EP_FID@k, the epochs until the gFID is below k")
    waits_for: Literal["data/passed/latents", "data/passed/metric_network"]


class ReconstructionConfig(Config):
    """rFID, PSNR, SSIM and LPIPS on the whole `split`."""

    batch: int = Field(gt=0, le=2**20)
    rounding: Literal["round", "truncate"]
    split: Literal["val", "test"]


class ProbeConfig(Config):
    """Linear probe on mean-pooled x_t at each of `times`, tested on the images of `split`."""

    times: tuple[float, ...]
    split: Literal["val", "test"]
    per_class: int = Field(ge=0, le=2**20, description="training images of every class; 0 takes all")
    batch: int = Field(gt=0, le=2**20)
    regularisation: float = Field(gt=0, description="inverse strength C of scikit-learn's logistic regression")
    views: int = Field(gt=0, le=2**10, description="noise draws per training image")

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if not self.times or any(not 0 <= t < 1 for t in self.times):
            raise ValueError(f"times {list(self.times)} must lie in [0, 1)")
        return self
