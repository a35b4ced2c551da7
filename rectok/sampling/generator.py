"""From labels and seeds to images: DiT^DH, guidance, ODE solver, tokenizer decoder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rectok import flow
from rectok.artifacts import DATA, read_json, stage_dir, statistics_file
from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH, load_dit, to_tokens
from rectok.errors import UserError
from rectok.nn.precision import bfloat16_on_gpu
from rectok.sampling.sampler_config import GuidanceConfig, SamplerConfig
from rectok.tokenizer.model import Tokenizer, load_tokenizer, to_unit
from rectok.tokenizer.tokenizer_config import TokenizerConfig


@dataclass(frozen=True)
class LatentStatistics:
    """`mean` and `std` of every latent channel, float64 [C]."""

    mean: Tensor
    std: Tensor

    @classmethod
    def load(cls, path: Path | None = None) -> "LatentStatistics":
        """Read `path`, or data/statistics. Raises UserError when it is damaged."""
        path = path or statistics_file()
        record = read_json(path)
        try:
            mean, std = (torch.tensor(record[name], dtype=torch.float64) for name in ("mean", "std"))
            return cls(mean, std)
        except (KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged: it lacks {error}") from None

    def to(self, device: torch.device) -> "LatentStatistics":
        """The same on `device`, so that no step waits for a copy from the host."""
        return LatentStatistics(self.mean.to(device), self.std.to(device))

    def normalise(self, z: Tensor) -> Tensor:
        """(z − mean) / std for tokens [..., C]."""
        return (z - self.mean.to(z)) / self.std.to(z)

    def restore(self, z: Tensor) -> Tensor:
        """z·std + mean for tokens [..., C]."""
        return z * self.std.to(z) + self.mean.to(z)


@dataclass(frozen=True)
class Generator:
    """Everything that sampling needs, on one device. `autoguidance` may be absent where nothing asks for AutoGuidance."""

    dit: DiTDH
    autoguidance: DiTDH | None
    tokenizer: Tokenizer
    statistics: LatentStatistics
    device: torch.device

    @torch.no_grad()
    def sample(self, labels: Tensor, seeds: Tensor, sampler: SamplerConfig, guidance: GuidanceConfig | None) -> Tensor:
        """Images [B, 3, H, H] in [0, 1] for labels [B] and seeds [B]; one seed per sample, so batches change nothing."""
        with bfloat16_on_gpu(self.device):
            latents = self.sample_latents(labels, seeds, sampler, guidance)
            z = self.statistics.restore(to_tokens(latents))
            return to_unit(self.tokenizer.decode(z).float())

    def sample_latents(
        self, labels: Tensor, seeds: Tensor, sampler: SamplerConfig, guidance: GuidanceConfig | None
    ) -> Tensor:
        """Normalised latents [B, C, G, G]."""
        config = self.dit.config
        if int(labels.min()) < 0 or int(labels.max()) >= config.classes:
            raise UserError(f"label {int(labels.max())} does not exist: labels run from 0 to {config.classes - 1}")
        noise = seeded_noise(seeds, (config.channels, config.grid, config.grid)).to(self.device)
        labels = labels.to(self.device)
        times = flow.time_points(sampler.points, flow.time_shift(config.grid**2, config.channels))

        def velocity(x: Tensor, time: float) -> Tensor:
            return self._velocity(x, time, labels, guidance).float()

        return flow.integrate(velocity, noise, times, sampler.method)

    def _velocity(self, x: Tensor, time: float, labels: Tensor, guidance: GuidanceConfig | None) -> Tensor:
        t = torch.full((len(x),), time, device=x.device)
        if guidance is None or guidance.neutral or not guidance.low <= time <= guidance.high:
            return self.dit(x, t, labels)  # type: ignore[no-any-return]
        if guidance.kind == "autoguidance":
            if self.autoguidance is None:
                raise UserError(
                    "guidance kind autoguidance needs the autoguidance model; `dvc repro autoguidance` makes it"
                )
            return flow.guided(self.autoguidance(x, t, labels).float(), self.dit(x, t, labels).float(), guidance.scale)
        none = torch.full_like(labels, self.dit.no_label)
        both = self.dit(torch.cat([x, x]), torch.cat([t, t]), torch.cat([labels, none]))
        with_label, without = both.float().chunk(2)
        return flow.guided(without, with_label, guidance.scale)


@dataclass(frozen=True)
class Places:
    """Where the parts of a generator lie: folders of networks, and the JSON file of the statistics."""

    dit: Path
    autoguidance: Path | None
    tokenizer: Path
    statistics: Path

    @classmethod
    def within(cls, folder: Path) -> "Places":
        """Below `folder`, laid out as the outputs of the stages are below data/."""
        dit, autoguidance, decoder = (folder / stage_dir(stage).name for stage in ("dit", "autoguidance", "decoder"))
        return cls(dit, autoguidance, decoder, folder / statistics_file().relative_to(DATA))


def load_generator(
    device: torch.device,
    places: Places | None = None,
    read_dit: Callable[[Path], DiTDH] = load_dit,
    read_tokenizer: Callable[[Path], Tokenizer] = load_tokenizer,
) -> Generator:
    """The generator in `places`, or the pipeline's. Raises UserError where its parts are not of the same sizes."""
    places = places or Places.within(DATA)
    tokenizer = read_tokenizer(places.tokenizer).to(device)
    dit = read_dit(places.dit).to(device)
    _check_fit(places.dit, dit.config, places.tokenizer, tokenizer.config)
    autoguidance = None
    if places.autoguidance is not None and places.autoguidance.exists():
        autoguidance = read_dit(places.autoguidance).to(device)
        _check_fit(places.autoguidance, autoguidance.config, places.tokenizer, tokenizer.config)
    statistics = LatentStatistics.load(places.statistics).to(device)
    if len(statistics.mean) != dit.config.channels:
        raise UserError(
            f"{places.statistics} is for {len(statistics.mean)} channels, but {places.dit} makes {dit.config.channels}"
        )
    return Generator(dit, autoguidance, tokenizer, statistics, device)


def _check_fit(folder: Path, dit: DiTConfig, other: Path, tokenizer: TokenizerConfig) -> None:
    theirs, ours = (dit.channels, dit.grid), (tokenizer.sizes.channels, tokenizer.grid)
    if theirs != ours:
        raise UserError(
            f"{folder} makes latents of {theirs[0]} channels on a side of {theirs[1]} tokens, but {other} "
            f"reads {ours[0]} channels on {ours[1]}; `dvc repro` trains them for each other"
        )


def seeded_noise(seeds: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Standard normal [B, *shape], each row from its own seed."""
    generator = torch.Generator()
    return torch.stack([torch.randn(shape, generator=generator.manual_seed(int(seed))) for seed in seeds])
