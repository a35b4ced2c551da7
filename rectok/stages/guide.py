"""Train the guide of AutoGuidance (arXiv 2406.02507): smaller, and for a shorter time."""

from rectok.params import Params
from rectok.stages.generator import train_generator


def run(params: Params) -> None:
    """Write data/guide."""
    train_generator("guide", params, params.guide)
