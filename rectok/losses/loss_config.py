"""What the tokenizer learns from, and how strongly."""

from typing import Literal

from pydantic import Field

from rectok.config import Config
from rectok.storage.storage_config import WeightsFile

TORCHVISION, TORCHMETRICS, TIMM = "torchvision", "torchmetrics", "timm"
"""Values of `path` that leave VGG16, the heads of LPIPS, and ConvNeXt-S to the library that has them."""


class PerceptualFile(WeightsFile):
    """A file, or the library that has its weights (rectok/losses/perceptual.py)."""

    libraries = (TORCHVISION, TORCHMETRICS, TIMM)


class SemanticLossConfig(Config):
    """Flow semantic distillation and reconstruction–alignment distillation (RecTok, section 3)."""

    weight: float = Field(ge=0)
    loss: Literal["cosine", "l2", "l1", "kl"]
    input: Literal["noised", "clean"]
    target: Literal["all", "visible", "masked"]
    temperature: float = Field(gt=0)


class PerceptualConfig(Config):
    """(lpips·LPIPS + logits·MSE of ConvNeXt-S logits) / (lpips + logits); the teacher stands in where weights are absent."""

    weight: float = Field(ge=0)
    lpips: float = Field(gt=0)
    logits: float = Field(ge=0)
    vgg: PerceptualFile
    lpips_heads: PerceptualFile
    convnext: PerceptualFile


class AdversaryConfig(Config):
    """PatchGAN with hinge loss; it starts at the share `start` of training."""

    weight: float = Field(ge=0)
    start: float = Field(ge=0, le=1)
    filters: int = Field(gt=0, le=2**12)
    layers: int = Field(gt=0, le=12)
    lr_per_256: float = Field(gt=0)


class ImageLossConfig(Config):
    """Weights of what compares an image with its reconstruction."""

    pixel: float = Field(ge=0)
    perceptual: PerceptualConfig
    adversary: AdversaryConfig

    @property
    def silent(self) -> bool:
        """Whether none of them has a weight, so that nothing is learnt from images."""
        return not (self.pixel or self.perceptual.weight or self.adversary.weight)


class TokenizerLossConfig(ImageLossConfig):
    """Weights of the tokenizer's objective (RecTok, arXiv 2512.13421, section 3)."""

    kl: float = Field(ge=0)
    semantic: SemanticLossConfig


class DecoderLossConfig(ImageLossConfig):
    """Weights of the decoder finetuning: pixels only, no KL and no semantics."""
