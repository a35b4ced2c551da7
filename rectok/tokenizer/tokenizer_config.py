"""Kind and sizes of the tokenizer, and the choices of its forward flow and masking."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from rectok.config import Config
from rectok.nn.transformer_config import TransformerConfig
from rectok.teacher.network_config import NetworkConfig

Kind = Literal["rectok", "vae", "rae", "published"]
"""RecTok's tokenizer, a plain VAE, a representation autoencoder, or one of diffusers (docs/guides/tokenizers.md)."""


class SemanticDecoderConfig(Config):
    """The light head that predicts teacher features: `transformer` as published, or a per-token `mlp`."""

    kind: Literal["transformer", "mlp"]
    transformer: TransformerConfig


class TokenizerSizes(Config):
    """What a user chooses about the tokenizer; image side and teacher width follow from elsewhere."""

    patch: int = Field(gt=0, le=2**10)
    channels: int = Field(gt=0, le=2**14)
    encoder: TransformerConfig
    decoder: TransformerConfig
    semantic: SemanticDecoderConfig


class RAEConfig(Config):
    """What kind `rae` needs (arXiv 2510.11690, 2605.18324): how many last layers are summed, and noise for its decoder."""

    layers: int = Field(gt=0, le=2**10)
    noise: float = Field(
        ge=0, description="τ: an image's features get noise of std σ ~ |N(0, τ²)| while the decoder learns"
    )


class TeacherEncoderConfig(Config):
    """The teacher's network as an encoder that gives the sum of its last `layers` layers."""

    network: NetworkConfig
    layers: int = Field(gt=0)


class TokenizerConfig(Config):
    """Everything needed to build the tokenizer's networks. Images are square with side `image_size`.

    `teacher` is the encoder of kind `rae`, and `autoencoder` the config.json of kind `published`. Tokenizers of earlier versions
    name neither their kind nor these.
    """

    image_size: int = Field(gt=0)
    teacher_width: int = Field(gt=0)
    sizes: TokenizerSizes
    kind: Kind = "rectok"
    teacher: TeacherEncoderConfig | None = None
    autoencoder: dict[str, Any] | None = None

    @property
    def grid(self) -> int:
        """Tokens along one side of the image, G."""
        return self.image_size // self.sizes.patch

    @property
    def tokens(self) -> int:
        """Tokens of one image, N = G²."""
        return self.grid**2

    @model_validator(mode="after")
    def _patches_tile_the_image(self) -> Self:
        if self.image_size % self.sizes.patch:
            raise ValueError(f"image side {self.image_size} is not a multiple of the patch side {self.sizes.patch}")
        return self

    @model_validator(mode="after")
    def _parts_of_its_kind_are_named(self) -> Self:
        for kind, part in (("rae", "teacher"), ("published", "autoencoder")):
            if (self.kind == kind) != (getattr(self, part) is not None):
                raise ValueError(f"kind {kind} needs its {part}, and no other kind has one")
        return self


class FlowConfig(Config):
    """The forward flow of training: how t is drawn and how strong the noise is (γ)."""

    schedule: Literal["shift", "uniform", "lognorm"]
    noise_scale: float = Field(gt=0)


class MaskingConfig(Config):
    """The masked share of a batch is max(0, U(low, high))."""

    low: float = Field(ge=-1, lt=1)
    high: float = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self
