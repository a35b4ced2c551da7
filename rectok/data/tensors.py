"""Teacher features and latent moments of one shard in safetensors, read row by row. No torch.

n images, o orientations (2 if training mirrors images, else 1), N tokens, D feature channels, C latent channels. Every row
has a checksum, so that damaged rows can be named.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from rectok.data.data_config import SPLITS
from rectok.data.parallel_map import map_in_threads
from rectok.errors import UserError
from rectok.files import replacing
from rectok.json_records import parse_json

Floats = NDArray[np.float32]
Tensors = dict[str, NDArray[Any]]
INT8_MAX = 127
AT_ONCE = 4
"""Rows that a thread encodes at once."""


def quantise(x: Floats) -> tuple[NDArray[np.int8], Floats]:
    """x [..., D] → int8 [..., D] and one scale [..., 1] per token, so that |x − q·scale| ≤ scale/2.

    A token that holds NaN or infinity gets a scale that is not finite, so `dequantise` shows it.
    """
    scale = (np.abs(x).max(axis=-1, keepdims=True) / INT8_MAX).astype(np.float32)
    usable = np.isfinite(scale) & (scale > 0)
    steps = np.divide(x, scale, out=np.zeros(x.shape, np.float32), where=usable)
    # A subnormal scale loses bits, so the largest value may come out beyond 127.
    return np.rint(steps).clip(-INT8_MAX, INT8_MAX).astype(np.int8), scale


def dequantise(q: NDArray[np.int8], scale: Floats) -> Floats:
    """int8 [..., D] and scale [..., 1] → float32 [..., D]. NaN if the scale is not finite."""
    return q.astype(np.float32) * np.where(np.isfinite(scale), scale, np.float32(np.nan))


def write_features(
    path: Path, keys: Sequence[str], batches: Iterable[Floats], storage: str, provenance: Mapping[str, str]
) -> None:
    """Write features from batches float32 [b, o, N, D] as `int8` per token or `float16`.

    With storage `online` the file holds the keys only, and `batches` is not read.
    """
    pieces = (batch[row : row + AT_ONCE] for batch in batches for row in range(0, len(batch), AT_ONCE))
    encoded = map_in_threads(partial(_encoded, storage=storage), pieces)
    tensors = {} if storage == "online" else _joined(len(keys), encoded)
    _write(path, keys, tensors, {}, {**provenance, "storage": storage})


def write_latents(
    path: Path,
    keys: Sequence[str],
    labels: NDArray[np.int64],
    splits: Sequence[str],
    moments: NDArray[np.floating[Any]],
    provenance: Mapping[str, str],
) -> None:
    """Write posterior moments [n, o, N, 2C] (means, then log-variances), of any float type, with labels and splits."""
    codes = np.array([SPLITS.index(split) for split in splits], np.uint8)
    rows = {"moments": moments}
    _write(path, keys, rows, {"labels": np.asarray(labels, np.int64), "splits": codes}, provenance)


class TensorFile:
    """A safetensors file with one row per image. It opens on first use, so forked and pickled workers may share it."""

    values: str
    """Name of the tensor that holds the rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: Any = None
        self._maps: dict[str, NDArray[Any]] = {}

    def __reduce__(self) -> tuple[type["TensorFile"], tuple[Path]]:
        return type(self), (self.path,)

    def __len__(self) -> int:
        return int(self._open().get_slice("keys").get_shape()[0])

    @property
    def keys(self) -> list[str]:
        """Image keys, one per row."""
        return [row.tobytes().hex() for row in self.whole("keys")]

    @property
    def provenance(self) -> dict[str, str]:
        """Hashes and settings of the inputs."""
        record: dict[str, str] = parse_json(self._open().metadata()["provenance"].encode(), str(self.path))
        return record

    @property
    def orientations(self) -> int:
        """Orientations of every image; 0 if the file holds no tensors."""
        return int(self._open().get_slice(self.values).get_shape()[1]) if self.values in self.names else 0

    @property
    def names(self) -> list[str]:
        """Names of the tensors, sorted."""
        return sorted(self._open().keys())

    def whole(self, name: str) -> NDArray[Any]:
        """A whole tensor. Raises UserError if the file has none of that name."""
        handle = self._open()
        try:
            tensor: NDArray[Any] = handle.get_tensor(name)
        except SafetensorError as error:
            raise UserError(f"{self.path} is damaged: {error}") from None
        return tensor

    def rows(self, name: str, rows: Sequence[int], flipped: Sequence[bool]) -> NDArray[Any]:
        """The tensors [b, …] of the images in `rows`, each mirrored if `flipped`, read at once."""
        tensors: NDArray[Any] = self._mapped(name)[np.asarray(rows), np.asarray(flipped, np.intp)]
        return tensors

    def damaged_rows(self) -> list[int]:
        """Rows whose bytes are not those that were written."""
        slices = [self._open().get_slice(name) for name in self.names if name not in _WHOLE]
        checksums = [_checksum([part[row] for part in slices]) for row in range(len(self))]
        return np.flatnonzero(self.whole("checksum") != np.array(checksums, np.uint32)).tolist()

    def _mapped(self, name: str) -> NDArray[Any]:
        """A tensor in the file, of which is read what is indexed; safetensors itself reads one row at a time."""
        if name not in self._maps:
            tensor = self._open().get_slice(name)
            with self.path.open("rb") as file:
                size = int.from_bytes(file.read(8), "little")
                begin = 8 + size + parse_json(file.read(size), str(self.path))[name]["data_offsets"][0]
            self._maps[name] = np.memmap(self.path, tensor[:0].dtype, "r", begin, tuple(tensor.get_shape()))
        return self._maps[name]

    def _open(self) -> Any:
        if self._handle is None:
            self.path.stat()  # its FileNotFoundError names the file, that of safetensors does not
            try:
                self._handle = safe_open(self.path, framework="numpy")
            except SafetensorError as error:
                raise UserError(f"{self.path} is damaged: {error}") from None
        return self._handle


class FeaturesFile(TensorFile):
    """Teacher features of one shard."""

    values = "features"

    def read(self, row: int, flipped: bool) -> Floats:
        """Features float32 [N, D] of one image in one orientation."""
        [values] = self.rows("features", [row], [flipped])
        if values.dtype == np.int8:
            return dequantise(values, *self.rows("scale", [row], [flipped]))
        floats: Floats = values.astype(np.float32)
        return floats


class LatentsFile(TensorFile):
    """Posterior moments of one shard."""

    values = "moments"

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels [n]."""
        return self.whole("labels")

    @property
    def splits(self) -> NDArray[np.uint8]:
        """Positions in SPLITS [n]."""
        return self.whole("splits")

    def read(self, row: int, flipped: bool) -> NDArray[Any]:
        """Moments [N, 2C] of one image in one orientation, in the stored float type."""
        moments: NDArray[Any] = self.rows("moments", [row], [flipped])[0]
        return moments

    def unflipped(self, start: int, stop: int) -> Floats:
        """Moments float32 [stop − start, N, 2C] of consecutive images, not mirrored."""
        values: NDArray[Any] = self._open().get_slice("moments")[start:stop, 0]
        return values.astype(np.float32, copy=False)


def _encoded(batch: Floats, storage: str) -> Tensors:
    if storage == "int8":
        features, scale = quantise(batch)
        return {"features": features, "scale": scale}
    with np.errstate(over="ignore"):  # the gate names the infinities
        return {"features": batch.astype(np.float16)}


def _joined(count: int, batches: Iterator[Tensors]) -> Tensors:
    """Batches as whole tensors of `count` rows. They are filled one by one, so that memory holds no second copy."""
    tensors: Tensors = {}
    row = 0
    for batch in batches:
        size = len(batch["features"])
        for name, part in batch.items():
            tensors.setdefault(name, np.empty((count, *part.shape[1:]), part.dtype))[row : row + size] = part
        row += size
    assert row == count, f"{row} rows of features for {count} keys"
    return tensors


_WHOLE = {"keys", "checksum", "labels", "splits"}
"""Small tensors without orientations, read whole."""


def _write(path: Path, keys: Sequence[str], rows: Tensors, others: Tensors, provenance: Mapping[str, str]) -> None:
    parts = [rows[name] for name in sorted(rows)]
    checksums = map_in_threads(lambda row: _checksum([part[row] for part in parts]), range(len(keys)), chunk=AT_ONCE)
    checksum = np.fromiter(checksums, np.uint32, len(keys))
    tensors = {**rows, **others, "keys": _key_bytes(keys), "checksum": checksum}
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        # A single entry, since safetensors writes several in a random order.
        save_file(contiguous, temporary, metadata={"provenance": json.dumps(dict(provenance), sort_keys=True)})


def _checksum(parts: Iterable[NDArray[Any]]) -> int:
    value = 0
    for part in parts:
        value = zlib.crc32(np.ascontiguousarray(part).data, value)
    return value


def _key_bytes(keys: Sequence[str]) -> NDArray[np.uint8]:
    return np.array(list(bytes.fromhex("".join(keys))), np.uint8).reshape(len(keys), 8)
