"""Train the autoguidance model of AutoGuidance (arXiv 2406.02507): smaller, and for a shorter time."""

from rectok.params import Params
from rectok.trainers.generator import train_generator


def run(params: Params) -> None:
    """Write data/autoguidance."""
    train_generator("autoguidance", params, params.autoguidance)
