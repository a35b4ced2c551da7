"""DiT^DH on the latents of a RecTok tokenizer, as a pipeline of diffusers. rectok must be installed, too.

`rectok export --format hub` copies this file. DiffusionPipeline.from_pretrained(FOLDER, trust_remote_code=True) loads it.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from PIL import Image
from torch import Tensor

from rectok.artifacts import config_of
from rectok.dit.model import DiTDH
from rectok.evaluation.image_quality import to_uint8
from rectok.sampling.generator import Generator, LatentStatistics
from rectok.sampling.sampler_config import GuidanceConfig, SamplerConfig, SamplingConfig, asked_for
from rectok.tokenizer.model import Tokenizer


class RecTokPipeline(DiffusionPipeline):  # type: ignore[misc]
    """Draws images of classes. `sampling` is the JSON of a SamplingConfig: how it samples where nothing else is asked for."""

    _optional_components: ClassVar[list[str]] = ["autoguidance"]

    def __init__(
        self,
        tokenizer: Tokenizer,
        dit: DiTDH,
        statistics: LatentStatistics,
        autoguidance: DiTDH | None = None,
        sampling: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(tokenizer=tokenizer, dit=dit, statistics=statistics, autoguidance=autoguidance)
        self.register_to_config(sampling=sampling)
        self.sampling = config_of(sampling, SamplingConfig, "sampling in model_index.json")

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        where: torch.device = next(self.dit.parameters()).device
        return where

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the networks, as torch.nn.Module.to does."""
        for network in filter(None, (self.tokenizer, self.dit, self.autoguidance)):
            network.to(*args, **kwargs)
        return self

    def __call__(
        self,
        class_labels: int | Sequence[int],
        guidance_scale: float | None = None,
        num_inference_steps: int | None = None,
        seed: int = 0,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> Any:
        """One image for each of `class_labels`; image i uses the seed `seed` + i, as rectok.Generator.sample does.

        Images are PIL's, or for another `output_type` a float tensor [B, 3, H, H] in [0, 1].
        """
        labels = torch.as_tensor(class_labels).reshape(-1)
        sampler, guidance = self.sampling.sampler.model_dump(), self.sampling.guidance.model_dump()
        if num_inference_steps is not None:
            sampler["points"] = num_inference_steps + 1
        if guidance_scale is not None:
            guidance["scale"] = float(guidance_scale)
        generator = Generator(self.dit, self.autoguidance, self.tokenizer, self.statistics.to(self.device), self.device)
        images = generator.sample(
            labels,
            torch.arange(seed, seed + len(labels)),
            asked_for(SamplerConfig, **sampler),
            asked_for(GuidanceConfig, **guidance),
        )
        drawn = _pictures(images, self.sampling.rounding) if output_type == "pil" else images
        return ImagePipelineOutput(images=drawn) if return_dict else (drawn,)


def _pictures(images: Tensor, rounding: str) -> list[Image.Image]:
    return [Image.fromarray(each) for each in to_uint8(images, rounding).movedim(1, -1).cpu().numpy()]
