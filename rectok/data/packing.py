"""A shard on disk: a WebDataset tar of PNGs, a table of offsets into it, and a list of unusable images. No torch."""

import hashlib
import io
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from rectok import artifacts
from rectok.data.image_decoding import DAMAGE, Pixels, decode_png
from rectok.data.parallel_map import REMOTE_THREADS
from rectok.data.tables import ShardRow, read_table, write_table
from rectok.errors import UserError
from rectok.files import replacing
from rectok.storage.objects import Ranges, is_remote
from rectok.storage.pointer import publish_with_pointer, read_pointer


@dataclass(frozen=True)
class Packed:
    """A decoded image for a shard, and what was done to its stored pixels."""

    key: str
    label: int
    split: str
    png: bytes
    treatments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quarantined:
    """An unusable image: a `reason` to count by, and a `detail` about this image."""

    key: str
    uri: str
    reason: str
    detail: str


def write_shard(shard: str, images: Iterable[Packed], location: str = "") -> None:
    """Write the tar (`<key>.png`, `<key>.cls` per image) and its table. The same images give the same bytes.

    If there is a `location`, the tar goes there, and a pointer to it takes its place.
    """
    path = artifacts.shard_tar(shard)
    if location:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as file:
            rows = _write_tar(file, images)
            file.flush()
            publish_with_pointer(Path(file.name), location, path)
    else:
        with replacing(path) as temporary, temporary.open("wb") as local:
            rows = _write_tar(local, images)
    write_table(artifacts.shard_table(shard), rows, ShardRow)


def write_quarantine(shard: str, images: Iterable[Quarantined]) -> None:
    """Write the list of unusable images, by key."""
    records = sorted((asdict(image) for image in images), key=lambda record: str(record["key"]))
    artifacts.write_json(artifacts.quarantine_file(shard), records)


def write_treatments(shard: str, counts: Mapping[str, int]) -> None:
    """Write how many images had each treatment, such as "turned upright"."""
    artifacts.write_json(artifacts.treatments_file(shard), dict(counts))


def _write_tar(file: IO[bytes], images: Iterable[Packed]) -> list[ShardRow]:
    rows = []
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for image in images:
            offset = _add(tar, f"{image.key}.png", image.png)
            _add(tar, f"{image.key}.cls", str(image.label).encode())
            digest = hashlib.sha256(image.png).hexdigest()
            rows.append(ShardRow(image.key, image.label, image.split, offset, len(image.png), digest))
    return rows


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Append a member without time and owner. Returns the offset of its content."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
    blocks = -(-len(content) // tarfile.BLOCKSIZE)
    return int(tar.offset) - blocks * tarfile.BLOCKSIZE


class PackedShard:
    """Random access to a shard's rows. Forked and pickled workers may share it."""

    def __init__(self, shard: str) -> None:
        self.shard = shard
        self.path = artifacts.shard_tar(shard)
        table = read_table(artifacts.shard_table(shard))
        self.keys: list[str] = table["key"].to_pylist()
        self.splits: list[str] = table["split"].to_pylist()
        self.sha256: list[str] = table["sha256"].to_pylist()
        # Lists, since pyarrow's to_numpy imports pandas.
        self.labels: NDArray[np.int64] = np.array(table["label"].to_pylist(), np.int64)
        self.offsets: NDArray[np.int64] = np.array(table["offset"].to_pylist(), np.int64)
        self.sizes: NDArray[np.int64] = np.array(table["size"].to_pylist(), np.int64)
        self._ranges: Ranges | None = None
        self._place, self._verified = str(self.path), set[int]()

    def __len__(self) -> int:
        return len(self.keys)

    def __reduce__(self) -> tuple[type["PackedShard"], tuple[str]]:
        return type(self), (self.shard,)

    def stored(self, row: int) -> bytes:
        """The PNG bytes of a row."""
        return self._tar().read(int(self.offsets[row]), int(self.sizes[row]))

    def _tar(self) -> Ranges:
        if self._ranges is None:
            pointer = read_pointer(self.path)
            self._ranges = Ranges(pointer.points_to, pointer.size, often=True) if pointer else Ranges(str(self.path))
        return self._ranges

    @property
    def uri(self) -> str:
        """Where the content of the tar is: here, or where its pointer leads."""
        return self._tar().uri

    @property
    def threads(self) -> int:
        """How many rows to read at once."""
        tar = self._tar()
        return REMOTE_THREADS if is_remote(tar.uri) and not tar.here else 1

    def _verify(self, row: int, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != self.sha256[row]:
            where = f"{self.uri} is damaged in row {row} (key {self.keys[row]})"
            raise UserError(f"{where}; `rectok repair shards@{self.shard}` writes it again")
        if is_remote(self.uri) and self._tar().here:
            self._verified.add(row)

    def intact(self, row: int) -> bool:
        """Whether the row's bytes are those that were written."""
        return hashlib.sha256(self.stored(row)).hexdigest() == self.sha256[row]

    def pixels(self, row: int) -> Pixels:
        """uint8 RGB [H, W, 3]. Raises UserError with shard, row and key if the row does not decode.

        Of content elsewhere, of which no stage compares the hash, each row is compared with its own, once where it is held.
        """
        try:
            content = self.stored(row)
            if self.uri != self._place and row not in self._verified:
                self._verify(row, content)
            return decode_png(content)
        except FileNotFoundError:
            raise
        except DAMAGE as error:
            raise UserError(f"{self.path} is damaged in row {row} (key {self.keys[row]}): {error}") from None
