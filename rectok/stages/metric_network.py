"""The network that metrics are computed with: Inception, or one apart from the teacher (other architecture, other seeds)."""

from rectok.evaluation.evaluation_config import INCEPTION
from rectok.evaluation.inception import obtain_inception
from rectok.params import Params
from rectok.trainers.networks import make, take


def run(params: Params) -> None:
    """Write data/metric_network."""
    if params.metric_network.network.name == INCEPTION:
        take("metric_network", params.metric_network, obtain_inception)
    else:
        make("metric_network", params)
