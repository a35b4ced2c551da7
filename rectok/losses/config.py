"""What the tokenizer learns from, and how strongly."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rectok.config import Config

TORCHVISION, TORCHMETRICS, TIMM = "torchvision", "torchmetrics", "timm"
"""Values of `path` that leave VGG16, the heads of LPIPS, and ConvNeXt-S to the library that has them."""


class SemanticLossConfig(Config):
    """Flow semantic distillation and reconstruction–alignment distillation (RecTok, section 3)."""

    weight: float = Field(ge=0)
    loss: Literal["cosine", "l2", "l1", "kl"]
    input: Literal["noised", "clean"]
    target: Literal["all", "visible", "masked"]
    temperature: float = Field(gt=0)


class WeightsFile(Config):
    """Network weights in a file: `path` (local or s3://) and its `sha256`; an empty path means there are none.

    In place of a path, a library may be named that has them (rectok/losses/libraries.py); `sha256` is empty then.
    """

    path: str
    sha256: str

    @model_validator(mode="after")
    def _knows_what_it_loads(self) -> Self:
        if self.path not in ("", TORCHVISION, TORCHMETRICS, TIMM) and not self.sha256:
            raise ValueError(f"sha256 is empty, but {self.path} needs it (64 hex digits, as sha256sum prints)")
        return self


class PerceptualConfig(Config):
    """(lpips·LPIPS + logits·MSE of ConvNeXt-S logits) / (lpips + logits); the teacher stands in where weights are absent."""

    weight: float = Field(ge=0)
    lpips: float = Field(gt=0)
    logits: float = Field(ge=0)
    vgg: WeightsFile
    lpips_heads: WeightsFile
    convnext: WeightsFile


class AdversaryConfig(Config):
    """PatchGAN with hinge loss; it starts at the share `start` of training."""

    weight: float = Field(ge=0)
    start: float = Field(ge=0, le=1)
    filters: int = Field(gt=0)
    layers: int = Field(gt=0)
    lr_per_256: float = Field(gt=0)


class TokenizerLossConfig(Config):
    """Weights of the tokenizer's objective (METHOD, section 2)."""

    pixel: float = Field(ge=0)
    kl: float = Field(ge=0)
    semantic: SemanticLossConfig
    perceptual: PerceptualConfig
    adversary: AdversaryConfig


class DecoderLossConfig(Config):
    """Weights of the decoder finetuning: pixels only, no KL and no semantics."""

    pixel: float = Field(ge=0)
    perceptual: PerceptualConfig
    adversary: AdversaryConfig
