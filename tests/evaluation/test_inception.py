import json
import math
import os
import shutil
from contextlib import chdir
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch_fidelity import calculate_metrics

from rectok import artifacts
from rectok.artifacts import read_json, write_json
from rectok.checks.networks import network_checks
from rectok.data.image_decoding import encode_png
from rectok.evaluation.fidelity import extract_features, fidelity, frechet, reference_features
from rectok.evaluation.generation import SampleFeatures, generation_metrics
from rectok.evaluation.image_sets import TensorImages
from rectok.evaluation.inception import Inception, obtain_inception
from rectok.evaluation.metric_network import MetricNetwork, load_metric_network
from rectok.evaluation.metrics import metric_sources
from rectok.evaluation.reference import Reference, load_reference
from rectok.params.schema import NetworkParams
from rectok.storage.hashing import sha256_file
from rectok.teacher.network_config import ClassifierTraining, NetworkConfig
from rectok.trainers.networks import take
from tests.cli.project import printed
from tests.errors import user_error
from tests.evaluation import project
from tests.evaluation.inception import write_random

TRAINING = ClassifierTraining(
    optimizer="adamw", epochs=1, min_steps=0, batch=1, lr=1e-3, weight_decay=0.0, label_smoothing=0.0, crop_padding=0
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> NetworkConfig:
    return write_random(tmp_path_factory.mktemp("weights") / "inception.pth")


@pytest.fixture(scope="module")
def kept(config: NetworkConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stage `metric_network` leaves."""
    with chdir(tmp_path_factory.mktemp("kept")):
        artifacts.write_json(artifacts.classes_file(), ["a", "b"])
        take("metric_network", NetworkParams(seed=0, network=config, training=TRAINING), obtain_inception)
        return artifacts.DATA.absolute()


@pytest.fixture
def metric_network(kept: Path, here: Path) -> MetricNetwork:
    shutil.copytree(kept, artifacts.DATA, copy_function=os.link)
    return load_metric_network(artifacts.stage_dir("metric_network"), "cpu", 8)


@pytest.mark.slow  # distances of 2048 features
def test_figures_are_those_of_torch_fidelity_itself(metric_network: MetricNetwork, config: NetworkConfig) -> None:
    images, others = project.pictures(10), project.pictures(9, first=100)
    theirs = calculate_metrics(
        input1=TensorImages(images), input2=TensorImages(others), fid=True, isc=True, prc=True, cuda=False, verbose=False,
        batch_size=8, cache=False, isc_splits=1, feature_extractor=config.name, save_cpu_ram=True,
        feature_extractor_weights_path=config.weights,
    )  # fmt: skip
    features = extract_features(TensorImages(images), metric_network)
    reference = reference_features(Reference(TensorImages(others), None, ""), metric_network)
    ours, fid = fidelity(features, reference, 3), frechet(features, reference)
    assert fid == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert fid > 0.1
    assert ours["inception_score"] == pytest.approx(theirs["inception_score_mean"], rel=1e-5)
    assert (ours["precision"], ours["recall"]) == (theirs["precision"], theirs["recall"])

    # The same images as another program leaves them, and the same network by its file.
    write_pngs(Path("samples"), images)
    np.savez("reference.npz", arr_0=others.permute(0, 2, 3, 1).numpy())
    words = (
        "--samples",
        "samples",
        "--reference",
        "reference.npz",
        "--network",
        config.weights,
        "--batch",
        "7",
        "--json",
    )
    record = json.loads(printed("evaluate", *words))
    assert record["network"] == "inception-v3-compat"
    assert record["metrics"] == pytest.approx({"gfid": fid, **ours}, rel=1e-4)


def write_pngs(folder: Path, images: torch.Tensor) -> None:
    folder.mkdir()
    for number, image in enumerate(images):
        (folder / f"{number:02d}.png").write_bytes(encode_png(image.permute(1, 2, 0).numpy()))


@pytest.mark.slow
def test_samples_are_measured_against_adms_statistics_and_labels_are_left_out(metric_network: MetricNetwork) -> None:
    project.build_shards()
    images, others = project.pictures(8), project.pictures(6, first=100)
    features = metric_network.model.features_and_logits(others.float() / 255)[0].double().numpy()
    assert features.shape == (6, 2048)
    sigma = np.cov(features, rowvar=False)
    np.savez("adm.npz", mu=features.mean(0), sigma=sigma, arr_0=others.permute(0, 2, 3, 1).numpy(), mu_s=np.zeros(7))
    reference = load_reference("adm.npz", project.train_split())
    assert len(reference.images) == 6
    labels = torch.arange(8) % 2
    metric_network.require_classes(1000)
    of_images = extract_features(TensorImages(images), metric_network)
    samples = SampleFeatures(labels, of_images, of_images)
    published = reference_features(reference, metric_network)
    found = generation_metrics(samples, samples.unguided, project.params().generation, published, metric_network)
    by_images = frechet(samples.unguided, reference_features(Reference(TensorImages(others), None, ""), metric_network))
    assert found["gfid"] == pytest.approx(by_images, rel=1e-3)
    assert found["gfid_guided"] == found["gfid"]
    assert (found["sample_accuracy"], found["sample_accuracy_guided"]) == (None, None)
    assert all(value is None or math.isfinite(value) for value in found.values())
    networks = metric_sources("generation", found, metric_network.title)
    assert networks["gfid"] == "inception-v3-compat"
    assert networks["sample_accuracy"].startswith("not measured: inception-v3-compat knows other classes")


def test_the_kept_network_passes_its_gate_and_is_what_was_asked_for(
    metric_network: MetricNetwork, config: NetworkConfig
) -> None:
    assert all(check.passed for check in network_checks("metric_network", 1.0))
    assert read_json(artifacts.summary_file("metric_network"))["licence"] == "Apache-2.0"
    published = torch.load(config.weights, weights_only=True)
    assert isinstance(metric_network.model, Inception)
    kept = metric_network.model.trunk.state_dict()
    assert kept.keys() == published.keys()
    assert all(torch.equal(kept[name], tensor) for name, tensor in published.items())
    record = read_json(artifacts.summary_file("metric_network"))
    write_json(artifacts.summary_file("metric_network"), record | {"sha256": "0" * 64})
    assert [check.name for check in network_checks("metric_network", 1.0) if not check.passed] == ["weights whole"]


def test_every_level_of_8_bits_reaches_the_network_as_it_is(metric_network: MetricNetwork) -> None:
    images = torch.arange(256, dtype=torch.uint8).expand(1, 3, 256, 256).contiguous()
    assert isinstance(metric_network.model, Inception)
    pooled, logits = metric_network.model.trunk(images)
    found = metric_network.model.features_and_logits(images.float() / 255)
    assert torch.equal(found[0], pooled) and torch.equal(found[1], logits)
    assert logits.shape == (1, 1008)


def refused(config: NetworkConfig, message: str, **changes: object) -> None:
    with user_error(message):
        obtain_inception(config.model_copy(update=changes), Path("kept"))
    assert not list(Path("kept").glob("*"))


def test_mistakes_are_sentences(config: NetworkConfig, here: Path) -> None:
    refused(config, r"weights is empty, .* torch-fidelity's release has it \(https://.*, Apache-2\.0\)", weights="")
    refused(config, f"has sha256 {config.sha256}, but {'0' * 64} was expected", sha256="0" * 64)
    refused(config, r"metric_network\.network\.image_size must be 299 for inception-v3-compat", image_size=224)

    half = torch.load(config.weights, weights_only=True)
    del half["fc.bias"]
    torch.save(half, "half.pth")
    refused(config, r'half\.pth does not hold .*"fc\.bias"', **named("half.pth"))
    torch.save({"anything": Path}, "pickle.pth")
    refused(config, r"pickle\.pth is not a torch file of tensors alone", **named("pickle.pth"))


def named(path: str) -> dict[str, object]:
    return {"weights": path, "sha256": sha256_file(Path(path))}


def test_a_download_that_fails_says_where_the_file_is(config: NetworkConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.load_state_dict_from_url", unreachable)
    with user_error(r"could not be downloaded .*no route to host.* set metric_network\.network\.weights to"):
        obtain_inception(config.model_copy(update={"weights": "torch-fidelity", "sha256": ""}), Path("kept"))
