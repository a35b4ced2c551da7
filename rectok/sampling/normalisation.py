"""Normalisation of the latent: per-channel mean and standard deviation, kept in float64."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rectok.artifacts import read_json, statistics_file
from rectok.errors import UserError


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
