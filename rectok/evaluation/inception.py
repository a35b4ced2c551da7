"""The network of published FIDs: torch-fidelity's port of TensorFlow's Inception of 2015 (arXiv 1512.00567)."""

import io
import json
import pickle
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from rectok.artifacts import read_json
from rectok.errors import UserError
from rectok.evaluation.evaluation_config import INCEPTION
from rectok.nn.weights import read_weights, save_weights
from rectok.storage.objects import fetch
from rectok.teacher.loading import CONFIG, WEIGHTS
from rectok.teacher.network_config import TORCH_FIDELITY, NetworkConfig

POOLED, LOGITS = "2048", "logits_unbiased"
FIXED = {"options": {}, "image_size": 299, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
"""Its preprocessing lies in the network: bilinear to 299 pixels as TensorFlow 1 did, then (x − 128)/128."""
WHERE = f"torch-fidelity's release has it ({URL_INCEPTION_V3}, Apache-2.0)"


class Inception(nn.Module):
    """Features and class scores as published figures use them. Images are floats [B, 3, H, W] in [0, 1], of any size.

    Its 1008 classes serve the Inception Score; they are not those of ImageNet, so it tells nobody a label.
    """

    def __init__(
        self, config: NetworkConfig, weights: Mapping[str, Tensor], name: str, key: str = "metric_network.network"
    ) -> None:
        """`name` says in errors where `weights` come from, and `key` which parameter `config` is.

        Raises UserError where they, or `config`, do not fit.
        """
        super().__init__()
        for field, value in FIXED.items():
            if getattr(config, field) != value:
                shown = list(value) if isinstance(value, tuple) else value
                raise UserError(f"{key}.{field} must be {shown} for {INCEPTION}, which prepares its images itself")
        self.config = config
        # torch-fidelity builds the network from a file alone, and unpickles it: so it gets one that was written here.
        file = io.BytesIO()
        torch.save(dict(weights), file)
        file.seek(0)
        try:
            self.trunk = FeatureExtractorInceptionV3(INCEPTION, [POOLED, LOGITS], feature_extractor_weights_path=file)
        except RuntimeError as error:
            problem = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
            raise UserError(f"{name} does not hold the weights of {INCEPTION}: {problem}; {WHERE}") from None
        self.classes = self.trunk.fc.out_features
        self.eval()

    def features_and_logits(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What FID, KID, precision and recall read, [B, 2048], and what the Inception Score reads, [B, 1008].

        The latter are class scores without their bias.
        """
        levels = (images * 255).round().to(torch.uint8)
        pooled, logits = self.trunk(levels)
        return pooled, logits


def obtain_inception(config: NetworkConfig, folder: Path, key: str = "metric_network.network") -> Inception:
    """The network, its weights put into `folder` as safetensors.

    `config.weights` is `torch-fidelity` (its own download), or a path or s3:// URI of the file that it downloads, read
    without unpickling anything but tensors. Raises UserError where it is neither, or not the file of `config.sha256`.
    """
    if not config.weights:
        raise UserError(
            f"{key}.weights is empty, but {INCEPTION} cannot be trained here; set it to {TORCH_FIDELITY}, or to "
            f"a file with its sha256: {WHERE}"
        )
    weights: dict[str, Tensor] = _downloaded() if config.weights == TORCH_FIDELITY else fetched_tensors(config, WHERE)
    network = Inception(config, weights, config.weights, key)
    save_weights(folder / WEIGHTS, weights)
    return network


def load_inception(folder: Path) -> Inception:
    """The network that `obtain_inception` put into `folder`."""
    config = NetworkConfig.model_validate_json(json.dumps(read_json(folder / CONFIG)["network"]))
    path = folder / WEIGHTS
    return Inception(config, read_weights(path, str(path)), str(path))


def fetched_tensors(config: NetworkConfig, where: str) -> dict[str, Tensor]:
    """The tensors of the torch file `config.weights`. Raises UserError, which says `where` it is from, for any other file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        fetch(config.weights, config.sha256, path)
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError):
            raise UserError(f"{config.weights} is not a torch file of tensors alone; {where}") from None
    if not isinstance(weights, dict):
        raise UserError(f"{config.weights} holds no tensors by name; {where}")
    return weights


def _downloaded() -> Any:
    try:
        load = torch.hub.load_state_dict_from_url
        return load(URL_INCEPTION_V3, map_location="cpu", progress=False, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"{INCEPTION} could not be downloaded ({' '.join(str(error).split())}); {WHERE}, so set "
            "metric_network.network.weights to a copy of it, and metric_network.network.sha256"
        ) from None
