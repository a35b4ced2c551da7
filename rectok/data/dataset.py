"""Images and latents of one split, over all shards, by position."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rectok import artifacts
from rectok.data.data_config import SPLITS, Split
from rectok.data.parallel_map import read_all
from rectok.data.shard_reader import ShardReader
from rectok.data.tensors import FeaturesFile, LatentsFile, TensorFile
from rectok.errors import UserError


class _Batch:
    """What batches of images and of latents share. `features` [b, N, D] are as they are stored, if the data set reads any.

    int8 features have a `scale` float32 [b, N, 1]. They become floats on the device, since floats from a worker would be two
    or four times as many bytes to copy.
    """

    features: Tensor | None
    scale: Tensor | None

    def teacher_features(self) -> Tensor:
        """float32 [b, N, D]. NaN if the scale is not finite."""
        assert self.features is not None, "this batch has no features"
        floats = self.features.float()
        return floats if self.scale is None else floats * self.scale  # 0 there, and 0 · ∞ is NaN

    def to(self, device: torch.device) -> Self:
        """The batch on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """The batch in page-locked memory, which allows asynchronous copies to a GPU."""
        return self._each(Tensor.pin_memory)

    def clone(self) -> Self:
        """A copy of the batch."""
        return self._each(Tensor.clone)

    def copy_(self, other: "_Batch") -> None:
        """Take the values of a batch of the same shapes."""
        for name, x in vars(self).items():
            if x is not None:
                x.copy_(getattr(other, name))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(self, **{name: change(x) for name, x in vars(self).items() if x is not None})  # type: ignore[type-var]


@dataclass(frozen=True)
class ImageBatch(_Batch):
    """`image` uint8 [b, 3, H, H] and `label` int64 [b]."""

    image: Tensor
    label: Tensor
    features: Tensor | None = None
    scale: Tensor | None = None


@dataclass(frozen=True)
class LatentBatch(_Batch):
    """`moments` [b, N, 2C], floats as they are stored, and `label` int64 [b]."""

    moments: Tensor
    label: Tensor
    features: Tensor | None = None
    scale: Tensor | None = None


class ImageDataset:
    """Images of a split in the order of shards and rows, with their teacher features if `features` is set.

    Raises UserError if features belong to other images than the shards hold, or have different storages.
    """

    keys: list[str]
    labels: NDArray[np.int64]

    def __init__(self, shards: Sequence[str], split: Split, features: bool = False) -> None:
        self.readers = [ShardReader(shard) for shard in shards]
        self.places = _places([np.array(reader.splits, dtype=str) == split for reader in self.readers])
        self.keys = [self.readers[shard].keys[row] for shard, row in self.places]
        self.labels = np.array([self.readers[shard].labels[row] for shard, row in self.places], np.int64)
        self.feature_files = (
            _same_storage([_open_features(reader.shard, reader) for reader in self.readers]) if features else None
        )

    def __len__(self) -> int:
        return len(self.places)

    @property
    def threads(self) -> int:
        """How many images to read at once."""
        return max((reader.threads for reader in self.readers), default=1)

    def image(self, position: int) -> Tensor:
        """uint8 [3, H, H]."""
        shard, row = (int(number) for number in self.places[position])
        return self.readers[shard].image(row)

    def batch(self, positions: Sequence[int], flipped: Sequence[bool]) -> ImageBatch:
        """The images at `positions`, mirrored if `flipped`."""
        threads = max((self.readers[shard].threads for shard in {int(self.places[p][0]) for p in positions}), default=1)
        unflipped = read_all(self.image, positions, threads)
        images = torch.stack([image.flip(-1) if f else image for image, f in zip(unflipped, flipped, strict=True)])
        labels = torch.from_numpy(self.labels[list(positions)])
        if self.feature_files is None:
            return ImageBatch(images, labels)
        return ImageBatch(images, labels, *_features(self.feature_files, self.places[list(positions)], flipped))


class LatentDataset:
    """Posterior moments of a split in the order of shards and rows, with their teacher features if `features` is set.

    Raises UserError if features belong to other images than the latents, or have different storages.
    """

    labels: NDArray[np.int64]

    def __init__(self, shards: Sequence[str], split: Split, features: bool = False) -> None:
        self.files = [LatentsFile(artifacts.latents_file(shard)) for shard in shards]
        masks = [file.splits == SPLITS.index(split) for file in self.files]
        self.places = _places(masks)
        self.labels = np.concatenate([file.labels[mask] for file, mask in zip(self.files, masks, strict=True)])
        opened = (
            [_open_features(shard, file) for shard, file in zip(shards, self.files, strict=True)] if features else []
        )
        self.feature_files = _same_storage(opened) if features else None

    def __len__(self) -> int:
        return len(self.places)

    def batch(self, positions: Sequence[int], flipped: Sequence[bool]) -> LatentBatch:
        """The latents at `positions`, of the mirrored images if `flipped`."""
        places = self.places[list(positions)]
        moments = _read(self.files, "moments", places, flipped)
        labels = torch.from_numpy(self.labels[list(positions)])
        if self.feature_files is None:
            return LatentBatch(moments, labels)
        return LatentBatch(moments, labels, *_features(self.feature_files, places, flipped))


def _features(
    files: Sequence[FeaturesFile], places: NDArray[np.int64], flipped: Sequence[bool]
) -> tuple[Tensor, Tensor | None]:
    """[b, N, D] as stored and, for int8, the scale [b, N, 1]."""
    values = _read(files, "features", places, flipped)
    return values, _read(files, "scale", places, flipped) if values.dtype == torch.int8 else None


def _read(files: Sequence[TensorFile], name: str, places: NDArray[np.int64], flipped: Sequence[bool]) -> Tensor:
    """The tensors `name` [b, …] of the rows at `places` [b, 2] (shard number, row), with one read for each shard."""
    flips, whole = np.asarray(flipped), None
    for shard in np.unique(places[:, 0]):
        here = places[:, 0] == shard
        part = files[shard].rows(name, places[here, 1], flips[here])
        whole = np.empty((len(places), *part.shape[1:]), part.dtype) if whole is None else whole
        whole[here] = part
    return torch.from_numpy(whole)


def _open_features(shard: str, of: ShardReader | LatentsFile) -> FeaturesFile:
    file = FeaturesFile(artifacts.features_file(shard))
    if file.keys != of.keys:
        raise UserError(f"{file.path} was made from other images than {of.path} holds; run `dvc repro`")
    return file


def _same_storage(files: list[FeaturesFile]) -> list[FeaturesFile]:
    """The files themselves, if rows of all of them can form one batch."""
    storages = {file.provenance["storage"]: file.path for file in files}
    if len(storages) > 1:
        both = " and ".join(f"{storage} in {path}" for storage, path in sorted(storages.items()))
        raise UserError(f"features are stored as {both}; run `dvc repro`")
    return files


def _places(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.int64]:
    """(shard number, row) of every position [n, 2]."""
    rows = [np.flatnonzero(mask) for mask in masks]
    return np.concatenate([np.stack([np.full_like(row, shard), row], axis=1) for shard, row in enumerate(rows)])
