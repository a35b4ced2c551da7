"""From labels and seeds to images: DiT^DH, guidance, ODE solver, tokenizer decoder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rectok import flow
from rectok.artifacts import DATA, read_config, read_json, stage_dir, statistics_file, within
from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH, load_dit, to_tokens
from rectok.errors import UserError
from rectok.nn.fp8 import fp8_products
from rectok.nn.fp8 import refusal as fp8_refusal
from rectok.nn.precision import bfloat16_on_gpu, bfloat16_products
from rectok.sampling.sampler_config import GuidanceConfig, SamplerConfig
from rectok.tokenizer.kinds import load_tokenizer
from rectok.tokenizer.model import Tokenizer, to_unit
from rectok.tokenizer.tokenizer_config import TokenizerConfig


class SharedEncoder:
    """The velocities of one sampling, in which the encoder of `dit` runs at every `every`-th evaluation (DDT)."""

    def __init__(self, dit: DiTDH, every: int) -> None:
        self.dit, self.every = dit, every
        self.evaluations = 0

    def __call__(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """As DiTDH.forward."""
        if self.evaluations % self.every == 0:
            self.condition = self.dit.encode(x, time, label)
        self.evaluations += 1
        return self.dit.velocity(self.dit.decode(x, self.condition), x, time)


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
        except (TypeError, ValueError) as error:
            raise UserError(f"{path} is damaged: {error}") from None
        finite = (
            mean.float().isfinite().all() and std.float().isfinite().all()
        )  # as `normalise` and `restore` take them
        if mean.ndim != 1 or mean.shape != std.shape or not finite or not (std > 0).all():
            raise UserError(
                f"{path} is damaged: mean and std must be two lists of one number a channel, and every std above 0"
            )
        return cls(mean, std)

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
    fp8: bool = False

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
        if guidance is not None and guidance.kind == "internal":
            self._require_internal(sampler)
        if sampler.fp8 and not self.fp8:
            raise UserError("the sampler has fp8, but this generator was loaded without it")
        noise = seeded_noise(seeds, (config.channels, config.grid, config.grid)).to(self.device)
        labels = labels.to(self.device)
        times = flow.time_points(sampler.points, flow.time_shift(config.grid**2, config.channels))

        velocity = self._guided(labels, sampler, guidance)
        return flow.integrate(velocity, noise, times, sampler.method)

    def _require_internal(self, sampler: SamplerConfig) -> None:
        if self.dit.internal is None:
            raise UserError(
                "guidance kind internal needs a generator with a head on an inner block; set dit.internal.block and train it"
            )
        if sampler.encoder_every > 1:
            every = sampler.encoder_every
            raise UserError(
                f"guidance kind internal reads the encoder at every step, but encoder_every is {every}; set it to 1"
            )

    def _guided(self, labels: Tensor, sampler: SamplerConfig, guidance: GuidanceConfig | None) -> flow.Velocity:
        """The velocity of one sampling, float32."""
        dit, pair = (SharedEncoder(self.dit, sampler.encoder_every) for _ in range(2))
        weak = SharedEncoder(self.autoguidance, sampler.encoder_every) if self.autoguidance is not None else None
        none = torch.full_like(labels, self.dit.no_label)

        def velocity(x: Tensor, time: float) -> Tensor:
            t = torch.full((len(x),), time, device=x.device)
            if guidance is None or guidance.neutral or not guidance.low <= time <= guidance.high:
                return dit(x, t, labels).float()
            if guidance.kind == "internal":
                strong, inner = self.dit.both(x, t, labels)
                return flow.guided(inner.float(), strong.float(), guidance.scale)
            if guidance.kind == "autoguidance":
                if weak is None:
                    raise UserError(
                        "guidance kind autoguidance needs the autoguidance model; `dvc repro autoguidance` makes it"
                    )
                return flow.guided(weak(x, t, labels).float(), dit(x, t, labels).float(), guidance.scale)
            both = pair(torch.cat([x, x]), torch.cat([t, t]), torch.cat([labels, none]))
            with_label, without = both.float().chunk(2)
            return flow.guided(without, with_label, guidance.scale)

        return velocity


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
        dit, autoguidance, decoder = (within(folder, stage_dir(stage)) for stage in ("dit", "autoguidance", "decoder"))
        return cls(dit, autoguidance, decoder, within(folder, statistics_file()))


def load_generator(
    device: torch.device,
    places: Places | None = None,
    read_dit: Callable[[Path], DiTDH] = load_dit,
    read_tokenizer: Callable[[Path], Tokenizer] = load_tokenizer,
    fp8: bool = False,
) -> Generator:
    """The generator in `places`, or the pipeline's, with the products of DiT^DH in `fp8` or exact.

    Beside a generator that guides itself nothing trains an autoguidance model, so none is loaded.

    Raises UserError where its parts are not of the same sizes, or cannot compute in fp8 here.
    """
    places = places or Places.within(DATA)
    if fp8:
        _require_fp8(places, device)
    tokenizer = read_tokenizer(places.tokenizer).to(device)
    dit = read_dit(places.dit).to(device)
    _check_fit(places.dit, dit.config, places.tokenizer, tokenizer.config)
    autoguidance = None
    if dit.internal is None and places.autoguidance is not None and places.autoguidance.exists():
        autoguidance = read_dit(places.autoguidance).to(device)
        _check_fit(places.autoguidance, autoguidance.config, places.tokenizer, tokenizer.config)
    if fp8:
        for generator in filter(None, (dit, autoguidance)):
            fp8_products(generator)
    if device.type == "cuda":
        for network in filter(None, (dit, autoguidance, tokenizer)):
            bfloat16_products(network)
    statistics = LatentStatistics.load(places.statistics).to(device)
    if len(statistics.mean) != dit.config.channels:
        raise UserError(
            f"{places.statistics} is for {len(statistics.mean)} channels, but {places.dit} makes {dit.config.channels}"
        )
    return Generator(dit, autoguidance, tokenizer, statistics, device, fp8)


def _require_fp8(places: Places, device: torch.device) -> None:
    files = (folder / "config.json" for folder in (places.dit, places.autoguidance) if folder is not None)
    sizes = [read_config(file, DiTConfig).sizes for file in files if file.exists()]
    for width in [width for size in sizes for width in (size.encoder.width, size.head.width)] or [0]:
        if reason := fp8_refusal(device, width):
            raise UserError(f"generation.sampler.fp8 is true, but {reason}; set it to false")


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
