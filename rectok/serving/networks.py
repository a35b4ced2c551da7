"""What the local page shows: PNG pictures of samples and reconstructions. One computation runs at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import cast

import torch
from PIL import Image
from torch import Tensor

from rectok.api import Generator, Tokenizer
from rectok.data.bad_image import BadImage
from rectok.data.data_config import ImageConfig
from rectok.data.image_decoding import prepare
from rectok.data.thumbnails import png
from rectok.errors import UserError
from rectok.evaluation.image_quality import psnr, to_uint8
from rectok.reporting.images import enlarged, grid
from rectok.sampling.sampler_config import UNGUIDED, GuidanceConfig, GuidanceKind, SamplerConfig

MOST_SAMPLES = 64


@dataclass(frozen=True)
class Networks:
    """A tokenizer and, once one is trained, a generator of `classes`, with how the project samples, decodes and rounds."""

    tokenizer: Tokenizer
    generator: Generator | None
    classes: list[str]
    image: ImageConfig
    rounding: str = "round"
    sampler: SamplerConfig = UNGUIDED.sampler
    guidance: GuidanceConfig = field(default_factory=lambda: GuidanceConfig(kind="cfg", scale=1.5, low=0.0, high=1.0))
    _turn: Lock = field(default_factory=Lock)

    @property
    def guidances(self) -> list[str]:
        """The kinds of guidance that there are networks for."""
        parts = self.generator.parts if self.generator is not None else None
        there = {"autoguidance": parts and parts.autoguidance, "internal": parts and parts.dit.internal}
        return ["cfg", *(kind for kind, network in there.items() if network is not None)]

    def samples(self, label: int, count: int, scale: float, kind: str, seed: int) -> bytes:
        """A grid of samples as a PNG. Raises UserError for a value that is out of range."""
        if self.generator is None:
            raise UserError("there is no generator yet; `dvc repro` trains one")
        if not 0 <= label < len(self.classes):
            raise UserError(f"label {label} does not exist: labels run from 0 to {len(self.classes) - 1}")
        if not 1 <= count <= MOST_SAMPLES:
            raise UserError(f"count is {count}, but must be from 1 to {MOST_SAMPLES}")
        if kind not in self.guidances:
            raise UserError(f"kind is {kind!r}, but must be one of {', '.join(self.guidances)}")
        if not 0 <= scale <= 100:
            raise UserError(f"guidance is {scale}, but must be from 0 to 100")
        if not 0 <= seed < 2**31:
            raise UserError(f"seed is {seed}, but must be from 0 to {2**31 - 1}")
        with self._computing():
            images = self.generator.sample(
                label, count, guidance=scale, kind=cast(GuidanceKind, kind),
                interval=(self.guidance.low, self.guidance.high), seed=seed, sampler=self.sampler,
            )  # fmt: skip
        return self._picture(to_uint8(images, self.rounding), round(count**0.5))

    def reconstruction(self, content: bytes) -> tuple[bytes, float]:
        """The cropped image beside its reconstruction as a PNG, and the PSNR in dB. Raises UserError for a bad image."""
        try:
            pixels = prepare(content, self.image).pixels
        except BadImage as bad:
            raise UserError(f"the image cannot be used: {bad}") from None
        original = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
        with self._computing():
            rebuilt = to_uint8(self.tokenizer.decode(self.tokenizer.encode(original)), self.rounding).cpu()
        return self._picture(torch.cat([original, rebuilt]), 2), float(psnr(rebuilt, original))

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """One computation at a time. Raises UserError where it needs more memory than the device has."""
        with self._turn:
            try:
                yield
            except torch.OutOfMemoryError:
                raise UserError("this is more than the GPU's memory holds; ask for fewer images") from None

    def _picture(self, images: Tensor, columns: int) -> bytes:
        return png(Image.fromarray(grid(enlarged(images.cpu().numpy()), columns)))
