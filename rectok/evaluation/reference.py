"""What generated images are compared with: images of a split, or published statistics."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from rectok.data.dataset import ImageDataset
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

    images: Dataset[Tensor]
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
    arrays = _read(path)
    statistics = Statistics(path, arrays["mu"].astype(np.float64), arrays["sigma"].astype(np.float64))
    name = f"mu and sigma of {Path(path).name}"
    if "arr_0" not in arrays:
        return Reference(images, statistics, f"{name}; precision, recall and KID: {described}")
    pixels = torch.from_numpy(arrays["arr_0"]).permute(0, 3, 1, 2)
    return Reference(TensorImages(pixels), statistics, f"{name}; precision, recall and KID: its {len(pixels)} images")


def _read(path: str) -> dict[str, NDArray[np.generic]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in ("mu", "sigma", "arr_0") if name in archive}
    except (OSError, ValueError) as error:
        raise UserError(f"generation.reference {path} cannot be read as an npz file: {error}") from None
    missing = [name for name in ("mu", "sigma") if name not in arrays]
    if missing:
        raise UserError(f"generation.reference {path} has no array {' or '.join(missing)}; it must hold mu and sigma")
    return arrays
