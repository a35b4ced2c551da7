"""The network whose features are distilled: a foundation model, or a proxy trained on the train split."""

from rectok.params import Params
from rectok.trainers.networks import make


def run(params: Params) -> None:
    """Write data/teacher."""
    make("teacher", params.teacher, params)
