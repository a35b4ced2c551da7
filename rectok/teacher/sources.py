"""Where the weights of a vision network come from: timm, a file, or an object store."""

from collections.abc import Mapping
from pathlib import Path

import timm
from torch import Tensor

from rectok.errors import UserError
from rectok.files import replacing
from rectok.nn.memory import fitting
from rectok.nn.weights import assign_weights, read_weights, save_weights
from rectok.storage.objects import fetch
from rectok.teacher.loading import WEIGHTS
from rectok.teacher.network import VisionNetwork
from rectok.teacher.network_config import NetworkConfig


def obtain(config: NetworkConfig, folder: Path) -> VisionNetwork:
    """The network whose `config.weights` is `timm`, a path or an s3:// URI, frozen; its weights are put into `folder`.

    The number of classes is what the weights were trained for. Raises UserError when the file's sha256 is not
    `config.sha256`, when a tensor is missing, left over or of another size, and when timm cannot download.
    """
    if config.weights == "timm":
        network = _downloaded(config)
        save_weights(folder / WEIGHTS, network.trunk.state_dict())
        return network.frozen()
    with replacing(folder / WEIGHTS) as temporary:
        fetch(config.weights, config.sha256, temporary)
        weights = read_weights(temporary, config.weights)
        network = fitting(f"network {config.name}", lambda: VisionNetwork(config, classes_of(config, weights)))
        assign_weights(network.trunk, weights, config.weights)
    return network.frozen()


def classes_of(config: NetworkConfig, weights: Mapping[str, Tensor]) -> int:
    """How many classes the classifier among `weights` has; 0 if there is none."""
    known = timm.get_pretrained_cfg(config.name)
    head = f"{known.classifier if known else 'head'}.weight"
    return len(weights[head]) if head in weights else 0


def _downloaded(config: NetworkConfig) -> VisionNetwork:
    try:
        return VisionNetwork(config, None, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"timm could not download the weights of {config.name} ({' '.join(str(error).split())}); {_where(config)}"
            "set weights to the path or s3:// URI of a safetensors file instead"
        ) from None


def _where(config: NetworkConfig) -> str:
    """Where a person finds what timm did not, and under which licence."""
    known = timm.get_pretrained_cfg(config.name)
    if known is None or not known.hf_hub_id:
        return ""
    return f"they are at https://huggingface.co/{known.hf_hub_id}, licence: {config.licence}; "
