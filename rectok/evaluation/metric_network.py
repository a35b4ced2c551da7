"""The network that metrics are computed with. It is the feature extractor that torch-fidelity takes."""

from pathlib import Path

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from rectok.artifacts import read_json
from rectok.errors import UserError
from rectok.evaluation.evaluation_config import INCEPTION
from rectok.evaluation.feature_spaces import FeatureSpaces
from rectok.evaluation.inception import Inception, load_inception
from rectok.teacher.loading import CONFIG, load_network
from rectok.teacher.network import VisionNetwork

POOLED = "pooled"
LOGITS = "logits"


class MetricNetwork(FeatureExtractorBase):  # type: ignore[misc]
    """The network `model` on `device`, which takes `batch` images at a time.

    `name` is the network's; `proxy` says in words that it is one and how it was trained, or is empty. `title` stands beside a
    metric, `described` in a protocol. It `knows_labels` where its classes can be those of the images: Inception's never are, and
    images that are not `labelled` have none.
    Other feature `spaces` see the same images in the same pass. Features leave all of them in float64, so torch-fidelity computes
    its statistics in float64.
    """

    name: str

    def __init__(
        self,
        model: VisionNetwork | Inception,
        device: str | torch.device,
        batch: int,
        name: str,
        proxy: str,
        labelled: bool = True,
        spaces: FeatureSpaces | None = None,
    ) -> None:
        super().__init__(name, [POOLED, LOGITS])
        self.model = model.to(device).requires_grad_(False)
        self.device, self.batch, self.proxy, self.labelled = torch.device(device), batch, proxy, labelled
        self.title, self.described = f"{name} (a proxy)" if proxy else name, proxy or name
        self.spaces = spaces
        self.knows_labels = labelled and not isinstance(model, Inception)
        self.eval()

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The names of the features, in the order in which `forward` returns them."""
        return POOLED, LOGITS

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """images uint8 [B, 3, H, W] → features [B, D] and logits [B, classes], float64."""
        pooled, logits = self.model.features_and_logits(images.float() / 255)
        return pooled.double(), logits.double()

    @torch.no_grad()
    def features(self, images: Tensor) -> tuple[Tensor, ...]:
        """The same of images anywhere, and then their features in each of the other spaces."""
        here = images.to(self.device)
        return *self(here), *(self.spaces(here.float() / 255) if self.spaces else ())

    def require_classes(self, count: int) -> None:
        """Raise UserError unless a metric network that knows labels has exactly `count` classes."""
        if self.knows_labels and self.model.classes != count:
            raise UserError(
                f"metric_network {self.name} tells {self.model.classes} classes apart, but the images have {count}; "
                'set metric_network.network.weights to a network of these classes, or to "" to train one here'
            )

    def accuracy(self, logits: Tensor, labels: Tensor) -> float | None:
        """The share of `logits` [N, classes] whose largest is at the label [N]; None where the network knows no labels."""
        return float((logits.argmax(1) == labels.cpu()).double().mean()) if self.knows_labels else None


def load_metric_network(
    folder: Path, device: str | torch.device, batch: int, spaces: FeatureSpaces | None = None
) -> MetricNetwork:
    """The metric network that the stage `metric_network` wrote to `folder`; `spaces` see what it sees."""
    summary = read_json(folder / "summary.json")
    inception = read_json(folder / CONFIG)["network"]["name"] == INCEPTION
    model = load_inception(folder) if inception else load_network(folder)
    labelled = summary.get("labelled", True)
    return MetricNetwork(model, device, batch, summary["network"], summary["proxy"], labelled, spaces)
