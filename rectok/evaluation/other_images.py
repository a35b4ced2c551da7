"""Images that another program made, judged by the code that judges ours."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rectok.artifacts import stage_dir
from rectok.data.bad_image import BadImage, damage_makes_bad_images
from rectok.data.image_formats import open_image
from rectok.data.loader import Images
from rectok.data.parallel_map import THREADS
from rectok.data.sources.names import is_hidden, kind_of
from rectok.errors import UserError
from rectok.evaluation import fidelity
from rectok.evaluation.evaluation_config import INCEPTION
from rectok.evaluation.feature_spaces import FeatureSpaces
from rectok.evaluation.fingerprint import described_spaces, fingerprint, metric_network_of
from rectok.evaluation.image_sets import TensorImages
from rectok.evaluation.inception import FIXED, obtain_inception
from rectok.evaluation.metric_network import MetricNetwork, load_metric_network
from rectok.evaluation.reference import Reference, read_arrays, statistics_in
from rectok.evaluation.space_metrics import metrics_by_space
from rectok.storage.hashing import fingerprint as fingerprint_of_files
from rectok.storage.hashing import sha256_file
from rectok.teacher.network_config import TORCH_FIDELITY, NetworkConfig


class FolderImages:
    """The image files in a folder and below it, by path, hidden ones left out: uint8 [3, H, W], all of the size of the first."""

    threads = THREADS

    def __init__(self, folder: Path) -> None:
        images = (path for path in folder.rglob("*") if kind_of(path.name) == "image")
        self.paths = sorted(path for path in images if not is_hidden(path.relative_to(folder).as_posix()))
        if not self.paths:
            raise UserError(f"{folder} holds no image file; it must hold files such as .png or .jpg")
        self.shape = _pixels(self.paths[0]).shape

    def __len__(self) -> int:
        return len(self.paths)

    def image(self, position: int) -> Tensor:
        """uint8 [3, H, W]. Raises UserError naming a file that cannot be read, or has another size."""
        path = self.paths[position]
        image = _pixels(path)
        if image.shape != self.shape:
            (height, width), (first_height, first_width) = image.shape[1:], self.shape[1:]
            raise UserError(
                f"{path} has {width}×{height} pixels, but {self.paths[0]} has {first_width}×{first_height}; "
                "images that are judged together must have one size"
            )
        return image


def read_samples(path: Path) -> Images:
    """The images of a folder, or those of an npz file (`arr_0`, uint8 [N, H, W, 3]). Raises UserError."""
    if path.is_dir():
        return FolderImages(path)
    arrays = read_arrays(str(path), ("arr_0",))
    if "arr_0" not in arrays:
        raise UserError(f"{path} has no array arr_0; the images must lie there as uint8 [N, H, W, 3]")
    return TensorImages(_channels_first(arrays["arr_0"], path))


def read_reference(path: Path) -> Reference:
    """What samples are compared with: images as `read_samples` reads them, or an npz file with `mu` and `sigma`, or with both."""
    if path.is_dir():
        return Reference(FolderImages(path), None, str(path))
    arrays = read_arrays(str(path), ("mu", "sigma", "arr_0"))
    if "arr_0" in arrays:
        images = TensorImages(_channels_first(arrays["arr_0"], path))
    elif "mu" in arrays:
        images = TensorImages(torch.empty(0, 3, 1, 1, dtype=torch.uint8))
    else:
        raise UserError(f"{path} has neither images (arr_0) nor statistics (mu and sigma)")
    return Reference(images, statistics_in(arrays, str(path)) if "mu" in arrays else None, path.name)


def metric_network_at(network: str, device: str, batch: int, spaces: FeatureSpaces | None = None) -> MetricNetwork:
    """The project's metric network, or Inception from the file `network`, or from torch-fidelity where it says so.

    `spaces` see the same images.
    """
    if not network:
        folder = stage_dir("metric_network")
        if not folder.exists():
            raise UserError(
                f"{folder} does not exist; give --network torch-fidelity or the file of its Inception, "
                "or run this where the stage metric_network has run"
            )
        return load_metric_network(folder, device, batch, spaces)
    path = Path(network)
    if network != TORCH_FIDELITY and not path.is_file():
        raise UserError(f"--network {network} is no file; it must be torch-fidelity, or the file of its Inception")
    digest = "" if network == TORCH_FIDELITY else sha256_file(path)
    described = {"name": INCEPTION, "weights": network, "sha256": digest, "licence": "", **FIXED}
    config = NetworkConfig.model_validate(described)
    with tempfile.TemporaryDirectory() as folder_of_weights:
        model = obtain_inception(config, Path(folder_of_weights))
    return MetricNetwork(model, device, batch, INCEPTION, proxy="", spaces=spaces)


def fingerprint_of(
    samples: int, reference: Path, network: str, neighbours: int, spaces: Sequence[NetworkConfig]
) -> str:
    """The protocol's fingerprint of so many images beside `reference`, judged by `metric_network_at(network)`."""
    file = network not in ("", TORCH_FIDELITY)
    judged_by = sha256_file(Path(network)) if file else network or metric_network_of()
    return fingerprint(
        samples=samples,
        reference=fingerprint_of_files([reference]),
        metric_network=judged_by,
        neighbours=neighbours,
        spaces=described_spaces(spaces),
    )


def judge(samples: Images, reference: Reference, network: MetricNetwork, neighbours: int) -> dict[str, Any]:
    """Metrics of the samples by name, those in other spaces by space below it.

    KID, precision and recall are None where the reference has statistics alone, and then there is no other space. Raises
    UserError where there are too few images for them.
    """
    fewest = min(len(samples), len(reference.images))
    if 0 < fewest <= neighbours:
        raise UserError(f"--neighbours is {neighbours}, but one of the compared sets has only {fewest} images")
    features = fidelity.extract_features(samples, network)
    if len(reference.images):
        theirs, spaces = fidelity.reference_features(reference, network), network.spaces
        others = metrics_by_space(features, theirs, spaces.names, neighbours) if spaces else {}
        return {"gfid": fidelity.frechet(features, theirs), **fidelity.fidelity(features, theirs, neighbours), **others}
    if network.spaces:
        raise UserError(
            f"the reference has no images, which --spaces needs; {reference.description} holds mu and sigma alone"
        )
    assert reference.statistics is not None
    fidelity.require_width(reference.statistics, features)
    theirs = fidelity.ReferenceFeatures(features.pooled[:0], reference.statistics)
    score, spread = fidelity.inception_score(features)
    return {
        "gfid": fidelity.frechet(features, theirs),
        "inception_score": score,
        "inception_score_std": spread,
        **dict.fromkeys(("kid", "precision", "recall")),
    }


def _pixels(path: Path) -> Tensor:
    try:
        with damage_makes_bad_images(), open_image(path.read_bytes()) as image:
            pixels = np.array(image.convert("RGB"))
    except BadImage as error:
        raise UserError(f"{path} cannot be judged: {error}") from None
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _channels_first(images: NDArray[np.generic], path: Path) -> Tensor:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        raise UserError(f"arr_0 of {path} is {images.dtype} {list(images.shape)}, but must be uint8 [N, H, W, 3]")
    return torch.from_numpy(images).permute(0, 3, 1, 2)
