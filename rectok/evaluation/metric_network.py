"""The network that metrics are computed with, and what it is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from rectok.artifacts import read_json
from rectok.errors import UserError
from rectok.evaluation.config import INCEPTION
from rectok.evaluation.inception import Inception, load_inception
from rectok.teacher.loading import CONFIG, load_network
from rectok.teacher.network import VisionNetwork


@dataclass(frozen=True)
class MetricNetwork:
    """The network kept in `folder`, on `device`; it sees `batch` images at a time.

    `network` is its name; `proxy` says in words that it is one, and how it was trained, or is empty.
    """

    folder: Path
    device: str
    batch: int
    network: str
    proxy: str
    model: VisionNetwork | Inception

    @property
    def title(self) -> str:
        """What stands beside a figure."""
        return f"{self.network} (a proxy)" if self.proxy else self.network

    @property
    def described(self) -> str:
        """What stands in a protocol: the name, or in words that it is a proxy."""
        return self.proxy or self.network

    @property
    def knows_labels(self) -> bool:
        """Whether its classes can be those of the images: Inception's never are."""
        return not isinstance(self.model, Inception)

    def credits(self, figures: Mapping[str, float | None]) -> dict[str, str]:
        """What stands beside each figure: this network, or why there is no figure."""
        absent = f"not measured: {self.network} knows other classes than the images have"
        return {name: absent if value is None else self.title for name, value in figures.items()}

    def require_classes(self, count: int) -> None:
        """Raise UserError unless a metric network that knows labels tells exactly `count` classes."""
        if self.knows_labels and self.model.classes != count:
            raise UserError(
                f"metric_network {self.network} tells {self.model.classes} classes apart, but the images have {count}; "
                'set metric_network.network.weights to a network of these classes, or to "" to train one here'
            )

    def recognised(self, logits: Tensor, labels: Tensor) -> float | None:
        """Share of images, by its `logits` [N, classes], whose most likely label is that in `labels` [N].

        None where it knows no labels.
        """
        return float((logits.argmax(1) == labels.cpu()).double().mean()) if self.knows_labels else None


def load_metric_network(folder: Path, device: str, batch: int) -> MetricNetwork:
    """The metric network that the stage `metric_network` kept in `folder`."""
    summary = read_json(folder / "summary.json")
    model = load_metric_backbone(folder).to(device)
    return MetricNetwork(folder, device, batch, summary["network"], summary["proxy"], model)


def load_metric_backbone(folder: Path) -> VisionNetwork | Inception:
    """The network kept in `folder`, frozen."""
    name = read_json(folder / CONFIG)["network"]["name"]
    return load_inception(folder) if name == INCEPTION else load_network(folder)
