"""What the teacher and the metric network share: take the network from elsewhere, or train a proxy on the train split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rectok import artifacts
from rectok.data.data_config import Split
from rectok.data.dataset import ImageDataset
from rectok.errors import UserError
from rectok.nn.counting import FORWARD_AND_BACKWARD, Shapes
from rectok.nn.memory import fitting
from rectok.params import Params
from rectok.params.schema import NetworkParams
from rectok.pipeline.hashes import hash_of
from rectok.seeds import seed_of
from rectok.teacher.loading import Described, save_config, save_network
from rectok.teacher.network import VisionNetwork
from rectok.teacher.network_config import NetworkConfig
from rectok.teacher.sources import obtain
from rectok.train.classifier import LabelledImages, accuracy, train_classifier
from rectok.train.world import device_of

EVALUATION_BATCH = 256


def make(stage: str, params: Params) -> None:
    """Write model.safetensors, config.json and summary.json of the network that the section `stage` asks for."""
    section: NetworkParams = getattr(params, stage)
    if section.network.weights:
        take(stage, section, obtain)
    else:
        _summarise(stage, section, _trained(stage, section, params))


def take(stage: str, section: NetworkParams, obtaining: Callable[[NetworkConfig, Path], Described]) -> None:
    """Write the same files with a network from elsewhere, whose weights `obtaining` puts into the stage's folder."""
    folder = artifacts.stage_dir(stage)
    network = obtaining(section.network, folder)
    save_config(folder, network, {"source": section.network.weights, "licence": section.network.licence})
    nothing = {"trained_here": False, "proxy": "", "val_accuracy": None, "test_accuracy": None}
    _summarise(stage, section, nothing if artifacts.labelled() else {**nothing, "labelled": False})


def _summarise(stage: str, section: NetworkParams, figures: dict[str, Any]) -> None:
    summary = {
        "network": section.network.name,
        "licence": section.network.licence,
        "sha256": hash_of(artifacts.weights_file(stage)),
        **figures,
    }
    artifacts.write_json(artifacts.summary_file(stage), summary)


def _trained(stage: str, section: NetworkParams, params: Params) -> dict[str, Any]:
    classes = artifacts.read_json(artifacts.classes_file(), list)
    if not artifacts.labelled():
        raise UserError(
            f"{stage}.network.weights is empty, but a {stage} cannot be trained on unlabelled images (index.labels none); name "
            f"pretrained weights in {stage}.network.weights"
        )
    device = torch.device(device_of(params.machine))
    seed = seed_of(section.seed, stage)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = fitting(f"{stage}.network", lambda: VisionNetwork(section.network, len(classes))).on(device)
    data = LabelledImages.of(ImageDataset(params.index.shards, "train"))
    flops = _step_flops(section, len(classes), params.image.size) if device.type == "cuda" else None
    train_classifier(network, data.to(device), section.training, params.image.flip, seed, stage, flops)
    proxy = f"proxy: {section.network.name} trained here on {len(data.labels):,} train images".replace(",", " ")
    save_network(artifacts.stage_dir(stage), network, {"source": proxy, "licence": section.network.licence})
    return {
        "trained_here": True,
        "proxy": proxy,
        "val_accuracy": _held_out(network, params, "val", device),
        "test_accuracy": _held_out(network, params, "test", device),
    }


def _step_flops(section: NetworkParams, classes: int, side: int) -> float:
    """FLOPs of one image of `side` in a training step: about three times those of the forward pass."""
    shapes = Shapes()
    with torch.random.fork_rng(devices=[]):
        network = shapes.build(lambda: VisionNetwork(section.network, classes))
        return FORWARD_AND_BACKWARD * shapes.forward(lambda: network(torch.empty(2, 3, side, side))) / 2


def _held_out(network: VisionNetwork, params: Params, split: Split, device: torch.device) -> float | None:
    """Accuracy on a split; None where it has no images."""
    dataset = ImageDataset(params.index.shards, split)
    if not len(dataset):
        return None
    result = accuracy(network, LabelledImages.of(dataset).to(device), EVALUATION_BATCH)
    print(f"{split} accuracy {result:.4f} on {len(dataset)} images")
    return result
