"""Every parameter of the pipeline, one section per stage. Nothing has a default: a preset is complete."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rectok.alerts.alert_config import AlertConfig
from rectok.config import Config
from rectok.data.data_config import ImageConfig, IndexConfig, LatentStorage
from rectok.dit.dit_config import AlignmentConfig, DiTSizes, InternalConfig, Prediction
from rectok.evaluation.evaluation_config import (
    GenerationConfig,
    ProbeConfig,
    ReconstructionConfig,
    TrainingEvaluationConfig,
)
from rectok.losses.loss_config import DecoderLossConfig, TokenizerLossConfig
from rectok.params.thresholds import GatesParams
from rectok.storage.storage_config import StorageConfig, WeightsFile
from rectok.teacher.network_config import ClassifierTraining, FeatureStorage, NetworkConfig
from rectok.tokenizer.tokenizer_config import FlowConfig, Kind, MaskingConfig, RAEConfig, TokenizerSizes
from rectok.tracking.tracking_config import TrackingConfig
from rectok.train.training_config import MachineConfig, PosthocEmaConfig, TrainingConfig

SILENT = "losses.pixel, losses.perceptual.weight and losses.adversary.weight are all 0"


class NetworkParams(Config):
    """A network from elsewhere, or a proxy trained here from a seed of its own: other seeds keep the same referee."""

    seed: int = Field(ge=0)
    network: NetworkConfig
    training: ClassifierTraining


class FeaturesParams(Config):
    storage: FeatureStorage
    batch: int = Field(gt=0, le=2**20)


class TrainedParams(Config):
    """A network that is trained from the weights `initial`, or from random ones where none are given."""

    initial: WeightsFile
    training: TrainingConfig

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.training.epochs == 0 and not self.initial.path:
            raise ValueError("training.epochs 0 trains nothing, so initial.path must name the weights to take instead")
        return self


class TokenizerParams(TrainedParams):
    """The tokenizer. Parameters that its kind does not use may have any value (docs/guides/tokenizers.md)."""

    kind: Kind
    rae: RAEConfig
    published: WeightsFile = Field(
        description="config.json of an autoencoder of diffusers; `initial` holds its weights"
    )
    sizes: TokenizerSizes
    flow: FlowConfig
    masking: MaskingConfig
    losses: TokenizerLossConfig

    @model_validator(mode="after")
    def _a_published_one_is_in_files(self) -> Self:
        for name in ("published", "initial"):
            if self.kind == "published" and not getattr(self, name).path:
                raise ValueError(
                    f"{name}.path is empty, but kind published takes the config.json of an autoencoder of diffusers from "
                    "published.path and its weights from initial.path"
                )
        return self

    @model_validator(mode="after")
    def _learns_something(self) -> Self:
        if self.training.epochs and self.losses.silent and not self.distils:
            raise ValueError(f"{SILENT}, so a tokenizer of kind {self.kind} would learn nothing; raise one of them")
        return self

    @property
    def distils(self) -> bool:
        """Whether it learns the teacher's features."""
        return self.kind == "rectok" and self.losses.semantic.weight > 0


class DecoderParams(Config):
    """Finetuning of the pixel decoder; with 0 epochs the tokenizer's own decoder is kept."""

    losses: DecoderLossConfig
    training: TrainingConfig

    @model_validator(mode="after")
    def _learns_something(self) -> Self:
        if self.training.epochs and self.losses.silent:
            raise ValueError(f"{SILENT}, so it would learn nothing; raise one of them, or set training.epochs to 0")
        return self


class LatentsParams(Config):
    """float16 halves the disk; its rounding is far below the noise that the posterior adds."""

    storage: LatentStorage
    batch: int = Field(gt=0, le=2**20)


class StatisticsParams(Config):
    """What normalises the latent: the std of the posterior means (as published) or of the sampled latent.

    The latter stays near 1 where a channel has collapsed onto the prior. `file` names given statistics instead, JSON with
    `mean` and `std` of every channel.
    """

    std: Literal["means", "sampled"]
    file: WeightsFile


class DiTParams(TrainedParams):
    """The generator, or its autoguidance model."""

    sizes: DiTSizes
    label_dropout: float = Field(ge=0, lt=1)


class GeneratorParams(DiTParams):
    """The generator, with the recipes of docs/guides/recipes.md, each of which is off at 0."""

    prediction: Prediction = Field(description="what the network predicts: the velocity v, or the data x")
    internal: InternalConfig
    alignment: AlignmentConfig
    posthoc_ema: PosthocEmaConfig
    evaluate_every: float = Field(ge=0, description="epochs between two evaluations while it trains; 0: none")
    evaluation: TrainingEvaluationConfig

    @model_validator(mode="after")
    def _inner_block_is_there(self) -> Self:
        depth = self.sizes.encoder.depth
        if self.internal.block >= depth:
            raise ValueError(f"internal.block {self.internal.block} must be below sizes.encoder.depth {depth}")
        if self.alignment.block > depth:
            raise ValueError(f"alignment.block {self.alignment.block} must be at most sizes.encoder.depth {depth}")
        return self

    @model_validator(mode="after")
    def _every_process_can_sample(self) -> Self:
        if self.evaluate_every and self.training.zero_stage == 3:
            raise ValueError(
                f"evaluate_every {self.evaluate_every:g} samples while it trains, but with training.zero_stage 3 no process "
                "holds the whole network; set training.zero_stage to 2 or less, or evaluate_every to 0"
            )
        return self

    @model_validator(mode="after")
    def _evaluations_have_a_metric_network(self) -> Self:
        network = "data/passed/metric_network"
        if self.evaluate_every and self.evaluation.waits_for != network:
            raise ValueError(
                f"evaluation.waits_for must be {network} where evaluate_every is above 0, so that DVC trains the metric network "
                "first"
            )
        return self


class NoiseParams(Config):
    """How much a figure moves by itself from night to night: see rectok/nightly/regression.py."""

    parts: int = Field(
        ge=2, le=2**10, description="parts of a night's samples, by seed, whose spread estimates the noise"
    )
    runs: int = Field(ge=2, description="first nights of the accepted generator that make the baseline and its spread")
    sigmas: float = Field(ge=0, description="how many times the noise a figure must be worse to count")


class KeepParams(Config):
    """How many nights, the newest ones, keep their rows in the history and their pictures."""

    runs: int = Field(gt=0)
    pictures: int = Field(ge=0)


class NightlyParams(Config):
    """The scheduled evaluation: a cron line in a time zone, its sample count, and how much worse a metric may get."""

    cron: str
    timezone: str
    late_hours: float = Field(gt=0, description="hours after its time when a night without figures counts as missed")
    per_class: int = Field(gt=0, le=2**20)
    gfid_tolerance: float = Field(ge=0, description="relative rise of gFID that fails the check")
    accuracy_tolerance: float = Field(ge=0, description="absolute fall of sample accuracy that fails the check")
    noise: NoiseParams
    keep: KeepParams
    alert: AlertConfig

    @model_validator(mode="after")
    def _parts_hold_every_class(self) -> Self:
        if self.noise.parts > self.per_class:
            raise ValueError(f"noise.parts {self.noise.parts} is more than per_class {self.per_class}")
        return self


class Params(Config):
    """The whole of params.yaml."""

    preset: str
    seed: int = Field(ge=0)
    machine: MachineConfig
    storage: StorageConfig
    tracking: TrackingConfig
    index: IndexConfig
    image: ImageConfig
    teacher: NetworkParams
    features: FeaturesParams
    metric_network: NetworkParams
    tokenizer: TokenizerParams
    decoder: DecoderParams
    latents: LatentsParams
    statistics: StatisticsParams
    dit: GeneratorParams
    autoguidance: DiTParams
    reconstruction: ReconstructionConfig
    probe: ProbeConfig
    generation: GenerationConfig
    gates: GatesParams
    nightly: NightlyParams

    @property
    def distils_online(self) -> bool:
        """Whether the teacher looks at every image while the tokenizer learns its features."""
        return self.tokenizer.distils and self.features.storage == "online"

    @model_validator(mode="after")
    def _patches_tile_the_image(self) -> Self:
        if self.image.size % self.tokenizer.sizes.patch:
            raise ValueError(
                f"image.size {self.image.size} is not a multiple of tokenizer.sizes.patch {self.tokenizer.sizes.patch}"
            )
        return self

    @model_validator(mode="after")
    def _adversary_sees_a_patch(self) -> Self:
        for stage, losses in (("tokenizer", self.tokenizer.losses), ("decoder", self.decoder.losses)):
            layers = losses.adversary.layers
            if losses.adversary.weight and self.image.size < 3 * 2**layers:
                raise ValueError(
                    f"{stage}.losses.adversary.layers {layers} need images of at least {3 * 2**layers} pixels, "
                    f"but image.size is {self.image.size}"
                )
        return self

    @model_validator(mode="after")
    def _probe_is_gated_where_it_looks(self) -> Self:
        if self.gates.probe.at not in self.probe.times:
            raise ValueError(
                f"gates.probe.at {self.gates.probe.at} must be one of probe.times {list(self.probe.times)}"
            )
        return self

    @model_validator(mode="after")
    def _features_to_align_with_are_stored(self) -> Self:
        if self.dit.alignment.block and self.features.storage == "online":
            raise ValueError(
                "dit.alignment.block reads stored features, but features.storage is online; set it to int8, or the block to 0"
            )
        return self

    @model_validator(mode="after")
    def _snapshots_stay_here(self) -> Self:
        if self.dit.posthoc_ema.snapshots and self.storage.checkpoints:
            raise ValueError(
                "dit.posthoc_ema.snapshots lie on this machine alone, so a training that goes on elsewhere would lack some; set "
                'storage.checkpoints to "", or the snapshots to 0'
            )
        return self

    @model_validator(mode="after")
    def _guidance_has_its_reference(self) -> Self:
        block, guidance = self.dit.internal.block, self.generation.guidance.kind
        if guidance == "internal" and not block:
            raise ValueError(
                "generation.guidance.kind is internal, but dit.internal.block is 0; set it to an encoder block"
            )
        if guidance == "autoguidance" and block:
            raise ValueError(
                f"generation.guidance.kind is autoguidance, which is not trained beside dit.internal.block {block}; set the kind "
                "to internal or cfg, or the block to 0"
            )
        if guidance == "internal" and self.generation.sampler.encoder_every > 1:
            raise ValueError(
                "generation.guidance.kind internal reads the encoder at every step; set generation.sampler.encoder_every to 1"
            )
        return self

    @model_validator(mode="after")
    def _spaces_are_others(self) -> Self:
        for space in self.generation.spaces:
            for role in ("metric_network", "teacher"):
                if space.name == getattr(self, role).network.name:
                    raise ValueError(
                        f"generation.spaces names {space.name}, which is the {role.replace('_', ' ')}; leave it out"
                    )
        return self

    @model_validator(mode="after")
    def _metric_network_is_not_the_teacher(self) -> Self:
        if self.metric_network.network == self.teacher.network:
            raise ValueError(
                "metric_network.network must differ from teacher.network: a metric must not share what was distilled"
            )
        return self
