"""The network that metrics are computed with: Inception, or one apart from the teacher (other architecture, other seeds)."""

from rectok.evaluation.config import INCEPTION
from rectok.evaluation.inception import obtain_inception
from rectok.params import Params
from rectok.stages.networks import make, take


def run(params: Params) -> None:
    """Write data/judge."""
    if params.judge.network.name == INCEPTION:
        take("judge", params.judge, obtain_inception)
    else:
        make("judge", params.judge, params)
