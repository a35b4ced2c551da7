"""Trained networks in Python: `from rectok import Tokenizer, Generator`. Nothing here needs a project or a params.yaml.

Shapes: B images, H side, N tokens, C latent channels.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from rectok import api_arguments as arguments
from rectok.api_arguments import Images
from rectok.interop import hub
from rectok.interop.hub_remote import NETWORKS, fetch
from rectok.interop.loading import open_dit, open_tokenizer, require_file, require_network
from rectok.interop.sizes import Heads
from rectok.pipeline.judged import require_artifact
from rectok.sampling import generator
from rectok.sampling.sampler_config import (
    UNGUIDED,
    GuidanceConfig,
    GuidanceKind,
    SamplerConfig,
    SamplingConfig,
    asked_for,
)
from rectok.tokenizer import model
from rectok.tokenizer.tokenizer_config import TokenizerConfig


class Tokenizer:
    """Encodes images to latent tokens, and decodes them."""

    def __init__(self, network: model.Tokenizer, device: torch.device) -> None:
        self.network, self.device = network.to(device), device

    @classmethod
    def load(
        cls, path: str | Path = "data/decoder", *, device: str = "auto", heads: tuple[int, int, int] | None = None
    ) -> Self:
        """Read a tokenizer from a folder, or from a .pth or .safetensors file of the released layout.

        A folder holds config.json and model.safetensors, as data/decoder does.
        A file does not say how many attention heads its encoder, pixel decoder and semantic decoder have: `heads` does,
        where they are not 64, 64 and 48 wide. `device` is auto, cpu or cuda. Raises UserError for anything that does not fit.
        """
        on = arguments.device(device)
        return cls(open_tokenizer(arguments.path("path", path), arguments.heads(heads)), on)

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, device: str = "auto") -> Self:
        """Read a tokenizer from a folder that `rectok export --format hub` wrote, of a generator or of the tokenizer alone.

        `name` may also be a repository of Hugging Face's hub, org/name, and `revision` a branch, tag or commit there. Raises
        UserError for anything else.
        """
        return cls.load(hub.tokenizer_in(_folder(name, revision, hub.TOKENIZER_FILES)), device=device)

    @property
    def config(self) -> TokenizerConfig:
        """Sizes of the network; `config.image_size` is H."""
        return self.network.config

    @torch.no_grad()
    def encode(self, images: Images) -> Tensor:
        """Posterior means, float [B, N, C].

        `images` may be PIL images, which are cropped and scaled to H; uint8 arrays [B, H, H, 3] or [H, H, 3]; uint8 tensors
        [B, 3, H, H]; or float tensors [B, 3, H, H] in [0, 1]. Raises UserError for others.
        """
        pixels = arguments.pixels(images, self.config.image_size).to(self.device)
        scaled = model.from_bytes(pixels) if pixels.dtype == torch.uint8 else pixels.float() * 2 - 1
        return model.split_moments(self.network.encode(scaled))[0]

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Images, float [B, 3, H, H] in [0, 1], of float latents [B, N, C]. Raises UserError for another shape or type."""
        z = arguments.latents(latents, self.config.grid**2, self.config.sizes.channels)
        return model.to_unit(self.network.decode(z.to(self.device)))


class Generator:
    """Draws images of a class, as `sampling` says where nothing else is asked for."""

    def __init__(self, parts: generator.Generator, sampling: SamplingConfig = UNGUIDED) -> None:
        self.parts, self.sampling = parts, sampling

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, device: str = "auto") -> Self:
        """Read a generator, and how it samples, from a folder that `rectok export --format hub` wrote.

        `name` may also be a repository of Hugging Face's hub, org/name, and `revision` a branch, tag or commit there. Raises
        UserError where a part is missing or does not fit the others.
        """
        folder = _folder(name, revision)
        sampling = hub.read_sampling(folder)
        return cls(cls.at(hub.places(folder), device).parts, sampling)

    @classmethod
    def load(
        cls,
        folder: str | Path = "data",
        *,
        dit: str | Path | None = None,
        tokenizer: str | Path | None = None,
        statistics: str | Path | None = None,
        autoguidance: str | Path | None = None,
        device: str = "auto",
        heads: tuple[int, int, int] | None = None,
    ) -> Self:
        """Read a generator from `folder`, laid out as data/ is: dit, decoder, statistics and, if there is one, autoguidance.

        A part may lie elsewhere, in a folder or a file as for `Tokenizer.load`; `statistics` is a JSON file with the mean
        and std of every latent channel. Raises UserError where a part is missing or does not fit the others.
        """
        parts = {"dit": dit, "autoguidance": autoguidance, "tokenizer": tokenizer, "statistics": statistics}
        elsewhere = {name: arguments.path(name, path) for name, path in parts.items() if path is not None}
        if autoguidance is not None and not elsewhere["autoguidance"].is_file():  # else it may be absent
            require_network(elsewhere["autoguidance"])
        places = replace(generator.Places.within(arguments.path("folder", folder)), **elsewhere)
        return cls.at(places, device, arguments.heads(heads))

    @classmethod
    def at(cls, places: generator.Places, device: str, heads: Heads | None = None, fp8: bool = False) -> Self:
        """The generator whose parts lie at `places`; `device` is auto, cpu or cuda. `fp8` is that of its samplers."""
        require_file(places.statistics)
        require_artifact(places.statistics)
        on = arguments.device(device)
        return cls(generator.load_generator(on, places, open_dit, lambda path: open_tokenizer(path, heads), fp8))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by label; empty where a generator was loaded without them."""
        return self.sampling.classes

    def sample(
        self,
        label: int,
        count: int = 1,
        *,
        guidance: float | None = None,
        kind: GuidanceKind | None = None,
        interval: tuple[float, float] | None = None,
        seed: int = 0,
        sampler: SamplerConfig | None = None,
    ) -> Tensor:
        """Images of class `label`, float [count, 3, H, H] in [0, 1]; image i uses the seed `seed` + i.

        `guidance` is the scale, 1 for none; it works at the t in `interval`, by classifier-free guidance (arXiv 2207.12598),
        AutoGuidance (arXiv 2406.02507) or Internal Guidance (arXiv 2512.24176). What is None is as `sampling` says: without
        guidance, unless the generator came with its settings. Raises UserError for a class or a guidance that does not exist,
        where an argument is of another type, or where the guidance lacks its model or head.
        """
        number = arguments.whole("label", label)
        length = arguments.whole("count", count, low=1)
        first = arguments.whole("seed", seed, 0, arguments.MOST - length)
        usual = self.sampling.guidance
        low, high = (usual.low, usual.high) if interval is None else arguments.pair("interval", interval)
        scale, kind = usual.scale if guidance is None else guidance, usual.kind if kind is None else kind
        guided = asked_for(GuidanceConfig, kind=kind, scale=scale, low=low, high=high)
        solver = self.sampling.sampler if sampler is None else arguments.instance("sampler", sampler, SamplerConfig)
        labels, seeds = torch.full((length,), number), torch.arange(first, first + length)
        return self.parts.sample(labels, seeds, solver, guided)


def _folder(name: str | Path, revision: str | None, files: Sequence[str] = NETWORKS) -> Path:
    """What `fetch` makes of these arguments. Raises UserError for others than it takes."""
    arguments.path("name", name)
    if revision is not None:
        arguments.instance("revision", revision, str)
    return fetch(name, revision, files)
