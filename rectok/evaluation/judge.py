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
class Judge:
    """The network kept in `folder`, on `device`; it sees `batch` images at a time.

    `network` is its name; `stand_in` says in words that it is one, and how it was trained, or is empty.
    """

    folder: Path
    device: str
    batch: int
    network: str
    stand_in: str
    model: VisionNetwork | Inception

    @property
    def title(self) -> str:
        """What stands beside a figure."""
        return f"{self.network} (a stand-in)" if self.stand_in else self.network

    @property
    def described(self) -> str:
        """What stands in a protocol: the name, or in words that it is a stand-in."""
        return self.stand_in or self.network

    @property
    def knows_labels(self) -> bool:
        """Whether its classes can be those of the images: Inception's never are."""
        return not isinstance(self.model, Inception)

    def credits(self, figures: Mapping[str, float | None]) -> dict[str, str]:
        """What stands beside each figure: this network, or why there is no figure."""
        absent = f"not measured: {self.network} knows other classes than the images have"
        return {name: absent if value is None else self.title for name, value in figures.items()}

    def require_classes(self, count: int) -> None:
        """Raise UserError unless a judge that knows labels tells exactly `count` classes apart: they would mean others."""
        if self.knows_labels and self.model.classes != count:
            raise UserError(
                f"judge {self.network} tells {self.model.classes} classes apart, but the images have {count}; "
                'set judge.network.weights to a network of these classes, or to "" to train one here'
            )

    def recognised(self, logits: Tensor, labels: Tensor) -> float | None:
        """Share of images, by its `logits` [N, classes], whose most likely label is that in `labels` [N].

        None where it knows no labels.
        """
        return float((logits.argmax(1) == labels.cpu()).double().mean()) if self.knows_labels else None


def load_judge(folder: Path, device: str, batch: int) -> Judge:
    """The judge that the stage `judge` kept in `folder`."""
    summary = read_json(folder / "summary.json")
    model = load_judging_network(folder).to(device)
    return Judge(folder, device, batch, summary["network"], summary["stand_in"], model)


def load_judging_network(folder: Path) -> VisionNetwork | Inception:
    """The network kept in `folder`, frozen."""
    name = read_json(folder / CONFIG)["network"]["name"]
    return load_inception(folder) if name == INCEPTION else load_network(folder)
