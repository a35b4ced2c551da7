"""The network whose features are distilled: a foundation model, or a stand-in trained on the train split."""

from rectok.params import Params
from rectok.stages.networks import make


def run(params: Params) -> None:
    """Write data/teacher."""
    make("teacher", params.teacher, params)
