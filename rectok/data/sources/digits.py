"""scikit-learn's 1 797 handwritten digits, 8×8 pixels in 17 shades of grey (UCI optdigits, test part)."""

import gzip
import io
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rectok.artifacts import UNLABELLED
from rectok.data.sources.image_source import Readable, SourceImage
from rectok.data.sources.labels import Labels
from rectok.errors import UserError

SIDE, SHADES = 8, 16


class Digits:
    """The digits as RGB PNG files of 8×8 pixels, named `digits/0000` … `digits/1796`."""

    packed = False

    def classes(self, labels: Labels) -> tuple[str, ...]:
        """The digits in their order."""
        return () if labels.none else tuple("0123456789")

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """[1797, 65]: 64 shades of grey, then the label."""
        # sklearn.datasets.load_digits reads the same file, but its import takes longer than this whole stage.
        spec = find_spec("sklearn")
        assert spec is not None and spec.submodule_search_locations, "scikit-learn is not installed"
        path = Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
        with gzip.open(path, "rt") as file:
            return np.loadtxt(file, delimiter=",").astype(np.int64)

    def images(self, labels: Labels) -> Iterator[SourceImage]:
        """Every digit."""
        if labels.setting not in ("auto", "none"):
            raise UserError(
                f"index.labels {labels.setting} does not fit sklearn:digits, which has its own; set it to auto or none"
            )
        for number, label in enumerate(self.rows[:, -1]):
            name = UNLABELLED if labels.none else str(label)
            yield SourceImage(f"digits/{number:04d}", name, None, partial(self._png, number))

    def read(self, uris: Sequence[str]) -> Iterator[Readable]:
        """All `uris` in their order."""
        for uri in uris:
            yield uri, partial(self._png, int(uri.removeprefix("digits/")))

    def _png(self, number: int) -> bytes:
        shades = self.rows[number, :-1].reshape(SIDE, SIDE)
        grey = np.rint(shades * (255 / SHADES)).astype(np.uint8)
        buffer = io.BytesIO()
        # Without compression the content hash, and hence the split, is the same with every version of zlib.
        Image.fromarray(np.stack([grey] * 3, axis=-1)).save(buffer, "png", compress_level=0)
        return buffer.getvalue()
