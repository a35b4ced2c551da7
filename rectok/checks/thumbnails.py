"""A few images of every class of the index, as strips of small pictures for its page."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from PIL.Image import Image

from rectok.artifacts import class_strip, docs_dir
from rectok.data.data_config import ImageConfig
from rectok.data.parallel_map import map_in_threads, threads_for
from rectok.data.sources.image_source import Readable
from rectok.data.sources.opening import open_source
from rectok.data.thumbnails import thumbnail
from rectok.errors import UserError
from rectok.params import Params
from rectok.reporting.images import grid, write_png

MOST, EACH = 200, 8
"""Thumbnails altogether, and of one class; of more classes than MOST, evenly spaced ones have some."""


def write_strips(params: Params, images: pd.DataFrame) -> None:
    """Write the strips of the index's `images`. There are none where the source cannot be read any more.

    Strips of an earlier index go, and pictures of files that shards left out and that are not in this index.
    """
    keys = set(images["key"])
    for path in [*class_strip(0).parent.glob("*.png"), *docs_dir("shards").glob("*.png")]:
        if path.parent == class_strip(0).parent or path.stem not in keys:
            path.unlink(missing_ok=True)
    chosen = _chosen(images)
    source = params.index.source
    try:
        readables = open_source(source, params.index.image).read(list(chosen))
        pictures = dict(map_in_threads(partial(_picture, params.image), readables, threads_for(source)))
    except (UserError, OSError):
        return
    for label in sorted(set(chosen.values())):
        strip = [picture for uri, picture in pictures.items() if chosen[uri] == label and picture is not None]
        if strip:
            pixels = np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in strip])
            write_png(class_strip(label), grid(pixels, columns=EACH))


def _picture(config: ImageConfig, readable: Readable) -> tuple[str, Image | None]:
    uri, read = readable
    return uri, thumbnail(read(), config)


def _chosen(images: pd.DataFrame) -> Mapping[str, int]:
    """The labels of the images to show, by uri."""
    labels = np.unique(images["label"])
    labels = labels[np.linspace(0, len(labels) - 1, min(MOST, len(labels))).round().astype(int)]
    count = max(1, min(EACH, MOST // max(1, len(labels))))
    return {uri: int(label) for label in labels for uri in images.loc[images["label"] == label, "uri"][:count]}
