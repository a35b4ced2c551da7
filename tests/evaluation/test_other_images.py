"""What `rectok evaluate` reads, and what it says of files that it cannot judge."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rectok.evaluation.feature_spaces import FeatureSpaces
from rectok.evaluation.fidelity import extract_features, frechet, reference_features
from rectok.evaluation.metric_network import MetricNetwork
from rectok.evaluation.other_images import fingerprint_of, judge, metric_network_at, read_reference, read_samples
from rectok.teacher.loading import load_network
from tests.errors import user_error
from tests.evaluation import project


@pytest.fixture
def network(here: Path) -> MetricNetwork:
    project.build_metric_network()
    return metric_network_at("", "cpu", 4)


def test_statistics_alone_leave_out_what_needs_images(here: Path, network: MetricNetwork) -> None:
    images, others = project.pictures(9), project.pictures(12, first=100)
    np.savez("images.npz", arr_0=others.permute(0, 2, 3, 1).numpy())
    of_images = reference_features(read_reference(Path("images.npz")), network)
    np.savez("statistics.npz", mu=of_images.statistics.mu, sigma=of_images.statistics.sigma)
    np.savez("samples.npz", arr_0=images.permute(0, 2, 3, 1).numpy())
    samples = read_samples(Path("samples.npz"))
    metrics = judge(samples, read_reference(Path("statistics.npz")), network, 3)
    assert metrics["gfid"] == pytest.approx(frechet(extract_features(samples, network), of_images))
    assert (
        metrics["inception_score"] == judge(samples, read_reference(Path("images.npz")), network, 3)["inception_score"]
    )
    assert (metrics["kid"], metrics["precision"], metrics["recall"]) == (None, None, None)


def test_a_folder_is_read_by_path_at_any_depth(here: Path) -> None:
    for level, name in enumerate(("b/0.png", "a/deep/1.PNG", "c.png")):
        path = here / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 2), 10 * level).save(path, format="PNG")
    (here / "images" / "notes.txt").write_text("no image")
    (here / "images" / "._c.png").write_text("what macOS leaves beside c.png")
    Image.new("L", (3, 2), 30).save(here / "images" / "d.jfif", format="JPEG")
    images = read_samples(here / "images")
    assert [int(images.image(i)[0, 0, 0]) for i in range(4)] == [10, 0, 20, 30]
    assert images.image(0).shape == (3, 2, 3) and images.image(0).dtype == torch.uint8


def test_what_cannot_be_judged_is_one_sentence(here: Path) -> None:
    (here / "empty").mkdir()
    with user_error("^empty holds no image file; it must hold files such as .png or .jpg$"):
        read_samples(Path("empty"))
    (here / "mixed").mkdir()
    for name, side in (("0.png", 4), ("1.png", 5)):
        Image.new("RGB", (side, side)).save(here / "mixed" / name)
    with user_error(
        "^mixed/1.png has 5×5 pixels, but mixed/0.png has 4×4; images that are judged together must have one size$"
    ):
        read_samples(Path("mixed")).image(1)
    (here / "mixed" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with user_error("^mixed/1.png cannot be judged: "):
        read_samples(Path("mixed")).image(1)
    np.savez("floats.npz", arr_0=np.zeros((2, 4, 4, 3)))
    with user_error(r"^arr_0 of floats.npz is float64 \[2, 4, 4, 3\], but must be uint8 \[N, H, W, 3\]$"):
        read_samples(Path("floats.npz"))
    np.savez("other.npz", images=np.zeros(3))
    with user_error("^other.npz has no array arr_0; "):
        read_samples(Path("other.npz"))
    with user_error(r"^other.npz has neither images \(arr_0\) nor statistics \(mu and sigma\)$"):
        read_reference(Path("other.npz"))
    (here / "text.npz").write_text("no archive")
    with user_error("^text.npz cannot be read as an npz file: it is of another format, or cut off$"):
        read_samples(Path("text.npz"))
    np.savez("flat.npz", arr_0=np.zeros((2, 0, 4, 3), np.uint8))
    with user_error(r"^arr_0 of flat.npz is uint8 \[2, 0, 4, 3\], but must be uint8 \[N, H, W, 3\]$"):
        read_samples(Path("flat.npz"))
    with user_error("^missing.npz does not exist; it must be an npz file$"):
        read_samples(Path("missing.npz"))
    with user_error("^data/metric_network does not exist; give --network torch-fidelity or the file of its Inception"):
        metric_network_at("", "cpu", 4)
    with user_error("^--network inception.pth is no file; it must be torch-fidelity, or the file of its Inception$"):
        metric_network_at("inception.pth", "cpu", 4)


@pytest.mark.parametrize(
    "mu, sigma",
    [
        (np.zeros((3, 2)), np.eye(3)),
        (np.zeros(3), np.eye(4)),
        (np.array(["a"] * 3), np.eye(3)),
        (np.zeros(3) * 1j, np.eye(3)),
        (np.full(3, np.nan), np.eye(3)),
    ],
)
def test_statistics_that_are_none(mu: Any, sigma: Any, here: Path) -> None:
    np.savez("statistics.npz", mu=mu, sigma=sigma)
    with user_error(r"^statistics\.npz holds mu .* and sigma .*, but must hold finite numbers: the mean \[D\] and"):
        read_reference(Path("statistics.npz"))


def test_neighbours_are_fewer_than_images(here: Path) -> None:
    project.build_metric_network()
    np.savez("images.npz", arr_0=project.pictures(9).permute(0, 2, 3, 1).numpy())
    images, reference = read_samples(Path("images.npz")), read_reference(Path("images.npz"))
    with user_error("^--neighbours is 9, but one of the compared sets has only 9 images$"):
        judge(images, reference, metric_network_at("", "cpu", 4), 9)


def test_other_spaces_and_the_fingerprint_are_those_of_the_stage(here: Path) -> None:
    project.build_metric_network()
    spaces = FeatureSpaces([load_network(Path("data/metric_network"))], ["same"])
    network = metric_network_at("", "cpu", 4, spaces)
    for name, first in (("samples", 0), ("images", 100)):
        np.savez(f"{name}.npz", arr_0=project.pictures(9, first=first).permute(0, 2, 3, 1).numpy())
    metrics = judge(read_samples(Path("samples.npz")), read_reference(Path("images.npz")), network, 3)
    for ours, theirs in (
        ("fd", "gfid"),
        ("space_kid", "kid"),
        ("space_precision", "precision"),
        ("space_recall", "recall"),
    ):
        assert metrics[ours] == {"same": pytest.approx(metrics[theirs])}
    np.savez("statistics.npz", mu=np.zeros(3), sigma=np.eye(3))
    with user_error("the reference has no images, which --spaces needs; statistics.npz holds mu and sigma alone"):
        judge(read_samples(Path("samples.npz")), read_reference(Path("statistics.npz")), network, 3)

    fingerprints = {
        fingerprint_of(count, Path(reference), "", neighbours, ())
        for count, reference, neighbours in (
            (9, "images.npz", 3),
            (8, "images.npz", 3),
            (9, "samples.npz", 3),
            (9, "images.npz", 4),
        )
    }
    assert len(fingerprints) == 4 and fingerprint_of(9, Path("images.npz"), "", 3, ()) in fingerprints
