"""The network that metrics are computed with, trained apart from the teacher: other architecture, other seeds."""

from rectok.params import Params
from rectok.stages.networks import make


def run(params: Params) -> None:
    """Write data/judge."""
    make("judge", params.judge, params)
