"""Train the generator."""

from rectok.params import Params
from rectok.trainers.generator import train_generator


def run(params: Params) -> None:
    """Write data/dit."""
    train_generator("dit", params, params.dit)
