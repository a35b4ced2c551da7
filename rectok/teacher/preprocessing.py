"""How a network expects its images: mean, std, side and interpolation, as timm records them beside pretrained weights."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import timm

from rectok.errors import UserError
from rectok.teacher.network_config import AUTO, NetworkConfig

INTERPOLATION = "bicubic"
"""How `rectok.teacher.network.resized` resizes images."""


class Preprocessing(NamedTuple):
    """One part of the preprocessing: what this pipeline does, and what timm records, perhaps several choices."""

    name: str
    ours: Any
    timms: list[Any]


def preprocessing(network: Mapping[str, Any]) -> Iterator[Preprocessing]:
    """What is recorded for `network`, a NetworkConfig as JSON. Nothing where timm records nothing."""
    known = timm.get_pretrained_cfg(network["name"])
    if known is None:
        return
    for name, theirs in (("mean", known.mean), ("std", known.std)):
        yield Preprocessing(name, list(network[name]), [list(theirs)])
    # Some networks are tested at a larger side than they were trained at. Both are right.
    sides = [size[-1] for size in (known.input_size, known.test_input_size) if size]
    yield Preprocessing("image_size", network["image_size"], sides)
    yield Preprocessing("interpolation", INTERPOLATION, [known.interpolation])


def with_timms_values(config: NetworkConfig) -> NetworkConfig:
    """`config` with timm's own numbers where it says `auto`. Raises UserError where timm records none."""
    automatic = [name for name in ("mean", "std") if getattr(config, name) == AUTO]
    if not automatic:
        return config
    known = timm.get_pretrained_cfg(config.name)
    if known is None:
        raise UserError(f"{automatic[0]} of network {config.name} is auto, but timm records none; set three numbers")
    return config.model_copy(update={name: tuple(getattr(known, name)) for name in automatic})
