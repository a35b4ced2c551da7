"""Thresholds of the gates, one section per gate."""

from typing import Literal

from pydantic import Field

from rectok.config import Config


class DriftParams(Config):
    """How far an index may move from its baseline (`rectok baseline index`) before the gate reports a WARN or an ERROR."""

    severity: Literal["WARN", "ERROR"]
    sampled: int = Field(
        gt=0, description="number of images that are decoded to compare brightness and find look-alikes"
    )
    max_class_shift: float = Field(ge=0, le=1, description="share of images that would have to change class")
    max_brightness: float = Field(ge=0, le=1, description="change of the mean pixel, which lies in [0, 1]")
    max_size: float = Field(ge=0, description="relative change of the median file size, and of the median side")
    max_duplicates: float = Field(ge=0, le=1, description="rise of the share of images that look like another one")


class IndexGateParams(Config):
    min_per_class: int = Field(gt=1, description="images that every class must have")
    max_imbalance: float = Field(ge=1, description="largest class over smallest")
    drift: DriftParams


class ShardsGateParams(Config):
    max_quarantined: float = Field(ge=0, le=1, description="share of a shard's images that may be bad")


class AccuracyGateParams(Config):
    min_accuracy: float = Field(ge=0, le=1, description="held-out accuracy of a network trained here")


class FeaturesGateParams(Config):
    max_cosine_error: float = Field(ge=0, le=2, description="1 − cosine between stored and recomputed features")
    recomputed: int = Field(gt=0, le=2**20, description="images recomputed per shard")


class TokenizerGateParams(Config):
    min_psnr: float = Field(description="dB on the validation split")
    min_semantic_cosine: float = Field(ge=-1, le=1, description="between predicted and teacher features, clean latents")
    min_latent_std: float = Field(ge=0, description="smallest per-channel std of posterior means")


class DecoderGateParams(Config):
    max_psnr_loss: float = Field(ge=0, description="dB that finetuning may lose against the tokenizer")


class StatisticsGateParams(Config):
    max_mean: float = Field(gt=0, description="of the normalised latent")
    max_std_error: float = Field(gt=0, description="|std − 1| of the normalised latent")
    min_std: float = Field(gt=0, description="smallest per-channel std that normalises")
    max_collapsed: float = Field(ge=0, le=1, description="share of channels that hold noise alone")


class LatentsGateParams(Config):
    max_abs_mean: float = Field(gt=0, description="largest |posterior mean|")


class DiTGateParams(Config):
    max_loss_ratio: float = Field(gt=0, description="last over first training loss")
    min_sample_std: float = Field(ge=0, description="std across preview samples, pixels in [0, 1]")


class ReconstructionGateParams(Config):
    min_psnr: float
    max_rfid: float = Field(gt=0)


class ProbeGateParams(Config):
    at: float = Field(ge=0, lt=1, description="the t whose accuracy is gated; one of probe.times")
    min_accuracy: float = Field(ge=0, le=1)


class GenerationGateParams(Config):
    min_accuracy: float = Field(
        ge=0, le=1, description="share of unguided samples that the metric network assigns to their class"
    )
    min_accuracy_guided: float = Field(ge=0, le=1)
    max_gfid: float = Field(gt=0)


class ReportGateParams(Config):
    max_megabytes: float = Field(gt=0)


class GatesParams(Config):
    index: IndexGateParams
    shards: ShardsGateParams
    teacher: AccuracyGateParams
    features: FeaturesGateParams
    metric_network: AccuracyGateParams
    tokenizer: TokenizerGateParams
    decoder: DecoderGateParams
    latents: LatentsGateParams
    statistics: StatisticsGateParams
    dit: DiTGateParams
    autoguidance: DiTGateParams
    reconstruction: ReconstructionGateParams
    probe: ProbeGateParams
    generation: GenerationGateParams
    report: ReportGateParams
