"""Random numbers of one training step, the same for any number of processes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rectok.seeds import seed_of


@dataclass(frozen=True)
class StepRandom:
    """Draws for the global micro-batch come from (seed, step, micro) alone; a rank keeps the rows of its own samples."""

    generator: torch.Generator
    seed: int
    samples: int
    rows: slice

    @classmethod
    def of(
        cls,
        key: tuple[int, ...],
        local: int,
        rank: int,
        world: int,
        device: torch.device,
        generator: torch.Generator | None = None,
    ) -> "StepRandom":
        """The draws of rank `rank` of `world`, which holds `local` samples of the global micro-batch, by `generator` if given."""
        seed, generator = seed_of(*key), generator or torch.Generator(device)
        return cls(generator.manual_seed(seed), seed, local * world, slice(rank * local, (rank + 1) * local))

    def normal(self, *shape: int) -> Tensor:
        """N(0, 1), [b, *shape] for this rank's b samples."""
        return torch.randn(self.samples, *shape, generator=self.generator, device=self.generator.device)[self.rows]

    def uniform(self, *shape: int) -> Tensor:
        """U(0, 1), [b, *shape] for this rank's b samples."""
        return torch.rand(self.samples, *shape, generator=self.generator, device=self.generator.device)[self.rows]

    def one_uniform(self) -> float:
        """One U(0, 1) shared by the whole global micro-batch; drawn on the host, so that no device waits for it."""
        host = torch.Generator().manual_seed(self.seed + 1)
        return torch.rand((), generator=host).item()
