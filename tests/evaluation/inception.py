"""torch-fidelity's Inception with random weights, in a file as it publishes them."""

import io
from pathlib import Path

import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from rectok.evaluation.evaluation_config import INCEPTION
from rectok.storage.hashing import sha256_file
from rectok.teacher.network_config import NetworkConfig


class _Untrained(FeatureExtractorInceptionV3):  # type: ignore[misc]
    """The constructor loads weights in any case; these it does not take."""

    def __init__(self) -> None:
        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        super().__init__(INCEPTION, ["2048"], feature_extractor_weights_path=nothing)

    def load_state_dict(self, *_: object) -> None:  # type: ignore[override]
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)


def write_random(path: Path, seed: int = 0) -> NetworkConfig:
    """Write random weights to `path`; the metric network's configuration that asks for them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.save(_Untrained().state_dict(), path)
    half, digest = (0.5, 0.5, 0.5), sha256_file(path)
    return NetworkConfig(
        name=INCEPTION, options={}, image_size=299, mean=half, std=half, weights=str(path), sha256=digest, licence="Apache-2.0",
    )  # fmt: skip
