"""Files and folders that parameters name."""

from collections.abc import Iterator

from pydantic import BaseModel

from rectok.data.data_config import is_table
from rectok.params.schema import Params
from rectok.storage.storage_config import WeightsFile
from rectok.teacher.network_config import NetworkConfig


def named_files(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(parameter, path, sha256) for every file of weights or statistics that parameters name."""
    if isinstance(section, WeightsFile) and section.path:
        yield f"{prefix}path", section.path, section.sha256
    if isinstance(section, NetworkConfig) and section.weights:
        yield f"{prefix}weights", section.weights, section.sha256
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from named_files(value, f"{prefix}{name}.")
        elif isinstance(value, tuple):
            for place, item in enumerate(value):
                if isinstance(item, BaseModel):
                    yield from named_files(item, f"{prefix}{name}.{place}.")


def inputs(params: Params) -> dict[str, str]:
    """Every parameter that may name something that the pipeline reads and does not make, here or in a bucket, with its value."""
    index = params.index
    paths = {
        "index.source": index.source,
        "index.watch": index.watch,
        "generation.reference": params.generation.reference,
    }
    if is_table(index.labels):
        paths["index.labels"] = index.labels
    paths |= {name: path for name, path, _ in named_files(params)}
    return {name: path for name, path in paths.items() if path}
