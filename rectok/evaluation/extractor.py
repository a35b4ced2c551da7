"""The metric network as a torch-fidelity feature extractor, so that FID, Inception Score, precision and recall are theirs."""

from pathlib import Path

from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

from rectok.evaluation.metric_network import load_metric_backbone

NAME = "rectok-metric-network"
POOLED = "pooled"
LOGITS = "logits"


class MetricNetworkExtractor(FeatureExtractorBase):  # type: ignore[misc]
    """The network in the folder `feature_extractor_weights_path`: features `pooled` [B, D] and `logits` [B, classes].

    Features leave it in float64, hence all statistics of torch-fidelity are computed in float64.
    """

    def __init__(
        self, name: str, features_list: list[str], feature_extractor_weights_path: str, **_options: object
    ) -> None:
        super().__init__(name, features_list)
        self.metric_network = load_metric_backbone(Path(feature_extractor_weights_path))

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """Names of the features that can be asked for."""
        return POOLED, LOGITS

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Logits for the Inception Score (`isc`), pooled features for everything else."""
        return LOGITS if metric == "isc" else POOLED

    @staticmethod
    def can_be_compiled() -> bool:
        """Never worth it for one pass over the images."""
        return False

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """images uint8 [B, 3, H, W] → the requested features, float64, in the order of the request."""
        pooled, logits = self.metric_network.judged(images.float() / 255)
        read = {POOLED: pooled, LOGITS: logits}
        return tuple(read[feature].double() for feature in self.get_requested_features_list())


def extractor_options(folder: Path) -> dict[str, str]:
    """Arguments that make torch-fidelity use the metric network kept in `folder`; may be called any number of times."""
    if NAME not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(NAME, MetricNetworkExtractor)
    return {"feature_extractor": NAME, "feature_extractor_weights_path": str(folder)}
