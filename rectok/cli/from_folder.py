"""`rectok init --from`: looks at a collection of images, prints what it holds, and makes parameters that fit it."""

from collections.abc import Iterator, Mapping

import typer

from rectok.data.collection import Collection, look_at
from rectok.errors import UserError
from rectok.params import parse, preset_text
from rectok.params.editing import edited
from rectok.params.fitting import PRESET, Hardware, fitted

HINTS = {"index.labels": "--labels", "index.image": "--image"}
"""Parameters that a sentence may name, and where `rectok init` takes their values."""


def parameters_from(source: str, labels: str, size: int, choice: str = "") -> str:
    """The text of a params.yaml for the images at `source`; `choice` is `index.image`.

    Raises UserError if they cannot be indexed.
    """
    image = parse(preset_text(PRESET), f"preset {PRESET}").image
    try:
        collection = look_at(source, labels, choice, image)
    except UserError as error:
        option = next((option for name, option in HINTS.items() if name in str(error)), "")
        hint = f"; `rectok init` takes its value behind {option}" if option else ""
        raise UserError(f"{error}{hint}") from None
    values = fitted(collection, source, labels, size, _hardware()) | {"index.image": choice}
    text = edited(preset_text(PRESET), values)
    parse(text, f"the parameters for {source}")
    for name, value in _rows(collection, size):
        typer.echo(f"{name:24}{value}")
    return text


def _hardware() -> Hardware:
    from torch import cuda  # seconds

    from rectok.train.world import device_named

    if device_named("auto") == "cpu":
        return Hardware()
    memories = [cuda.get_device_properties(number).total_memory for number in range(cuda.device_count())]
    return Hardware(len(memories), min(memories))


def _rows(collection: Collection, size: int) -> Iterator[tuple[str, str]]:
    """Name and value of every line of the table."""
    sizes, summary = sorted(collection.classes.values()), collection.summary
    yield "images", f"{collection.images} ({summary['duplicates']} duplicates are left out)"
    yield "classes", f"{len(sizes)}, of {sizes[0]} to {sizes[-1]} images"
    if summary["contradictory"]:
        yield "in several classes", str(summary["contradictory"])
    yield "other files", _listed(collection.left_out)
    yield "decoded", f"{len(collection.looks)}{'' if len(collection.looks) == collection.images else ', a sample'}"
    sides = [look.side for look in collection.usable]
    small = sum(side < size for side in sides)
    enlarged = f"; {small} are smaller than {size} and will be enlarged" if small else ""
    yield "short sides in pixels", f"{min(sides)} to {max(sides)}, median {collection.side}{enlarged}"
    yield "formats", _listed(collection.counts("format"))
    yield "modes", _listed(collection.counts("mode"))
    yield "treated", _listed(collection.counts("treatments"))
    yield "would be quarantined", _listed(collection.counts("unusable"))


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items()) or "none"
