"""Loads for diffusers what lies in this folder. `rectok export --format hub` copies this file."""

from pathlib import Path
from typing import Any

from rectok.dit.model import load_dit
from rectok.sampling.generator import LatentStatistics
from rectok.tokenizer.kinds import load_tokenizer


class Part:
    """A part of a generator: one of its networks, or the statistics of its latent."""

    @staticmethod
    def from_pretrained(folder: str, **_: Any) -> Any:
        """The part in `folder`. diffusers' options for networks of its own, such as a dtype, change nothing."""
        path = Path(folder)
        if path.name == "statistics":
            return LatentStatistics.load(path / "statistics.json")
        return load_tokenizer(path) if path.name == "tokenizer" else load_dit(path)
