"""What generated images are compared with: images of a split, or published statistics."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np
import torch
from numpy.typing import NDArray

from rectok.data.dataset import ImageDataset
from rectok.data.loader import Images
from rectok.errors import UserError
from rectok.evaluation.image_sets import Subsample, TensorImages

LIMIT = 50_000
"""Images of a split that are compared with: as many as published protocols draw samples."""


@dataclass(frozen=True)
class Statistics:
    """Mean [D] and covariance [D, D] of features, float64, as read from `path`."""

    path: str
    mu: NDArray[np.float64]
    sigma: NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """Images for precision, recall and KID; where `statistics` are given, FID is measured against them instead."""

    images: Images
    statistics: Statistics | None
    description: str


def load_reference(path: str, train: ImageDataset) -> Reference:
    """The npz file `path` (ADM layout: mu, sigma, images arr_0 uint8 [N, H, W, 3]), or the train split if it is empty.

    An npz without images leaves precision, recall and KID to the train split. Raises UserError naming what is missing.
    """
    images = Subsample(train, LIMIT)
    described = f"{len(images)} of {len(train)} images of the train split"
    if not path:
        return Reference(images, None, described)
    arrays = read_arrays(path, ("mu", "sigma", "arr_0"))
    statistics = statistics_in(arrays, path)
    name = f"mu and sigma of {Path(path).name}"
    if "arr_0" not in arrays:
        return Reference(images, statistics, f"{name}; precision, recall and KID: {described}")
    pixels = torch.from_numpy(arrays["arr_0"]).permute(0, 3, 1, 2)
    return Reference(TensorImages(pixels), statistics, f"{name}; precision, recall and KID: its {len(pixels)} images")


def read_arrays(path: str, names: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """Those of the arrays `names` that the npz file `path` holds. Raises UserError where it is none."""
    if Path(path).is_file() and not is_zipfile(path):  # np.load would advise to unpickle it
        raise UserError(f"{path} cannot be read as an npz file: it is of another format, or cut off")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names if name in archive}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; it must be an npz file") from None
    except (OSError, ValueError, TypeError, BadZipFile) as error:
        raise UserError(f"{path} cannot be read as an npz file: {error}") from None


def statistics_in(arrays: Mapping[str, NDArray[np.generic]], path: str) -> Statistics:
    """The statistics in the arrays `mu` and `sigma` of `path`. Raises UserError naming what is missing or does not fit."""
    missing = [name for name in ("mu", "sigma") if name not in arrays]
    if missing:
        raise UserError(f"{path} has no array {' or '.join(missing)}; a reference must hold mu and sigma")
    mu, sigma = arrays["mu"], arrays["sigma"]
    if mu.ndim != 1 or sigma.shape != 2 * mu.shape or not (_are_numbers(mu) and _are_numbers(sigma)):
        raise UserError(
            f"{path} holds mu {mu.dtype} {list(mu.shape)} and sigma {sigma.dtype} {list(sigma.shape)}, but must hold finite "
            "numbers: the mean [D] and the covariance [D, D] of D features"
        )
    return Statistics(path, mu.astype(np.float64), sigma.astype(np.float64))


def _are_numbers(array: NDArray[np.generic]) -> bool:
    """Whether the array holds finite real numbers."""
    return array.dtype.kind in "fiu" and bool(np.isfinite(array).all())
