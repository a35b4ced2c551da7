"""The config.json of an autoencoder of diffusers: which class it is, and which latents it gives. No torch here."""

from math import prod
from typing import Any

from rectok.errors import UserError
from rectok.json_records import parse_json
from rectok.storage.objects import verified
from rectok.storage.storage_config import WeightsFile

KL, FLUX2 = "AutoencoderKL", "AutoencoderKLFlux2"
Autoencoder = dict[str, Any]


def read_autoencoder(file: WeightsFile) -> Autoencoder:
    """What the `file` holds. Raises UserError where it is no config of an autoencoder that we know."""
    with verified(file.path, file.sha256) as path:
        config: Autoencoder = parse_json(path.read_bytes(), file.path)
    kind = config.get("_class_name")
    if kind not in (KL, FLUX2):
        raise UserError(
            f"{file.path} is the config of {kind}, but tokenizer.published.path must name one of {KL} or {FLUX2}"
        )
    return config


def folded(config: Autoencoder) -> int:
    """Side of the latent's pixels that are one token: FLUX.2's are folded two by two into channels."""
    return int(config["patch_size"][0]) if config["_class_name"] == FLUX2 else 1


def latent_sizes(config: Autoencoder) -> tuple[int, int]:
    """(side of the image patch of a token, channels of a token)."""
    halvings = len(config["block_out_channels"]) - 1
    return 2**halvings * folded(config), prod((folded(config), folded(config), config["latent_channels"]))
