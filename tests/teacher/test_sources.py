from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rectok.storage.hashing import sha256_file
from rectok.teacher.loading import load_network, save_config
from rectok.teacher.network_config import NetworkConfig
from rectok.teacher.sources import obtain
from tests.errors import user_error
from tests.storage.server import BUCKET, running
from tests.teacher.networks import DINOV3, RESNET, SIGLIP, network

IMAGES = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(0))


def stored(of: NetworkConfig, classes: int, path: Path) -> NetworkConfig:
    """`of` with weights in `path`."""
    save_file(network(of, classes).trunk.state_dict(), path)
    return of.model_copy(update={"weights": str(path), "sha256": sha256_file(path)})


@pytest.mark.parametrize("of", [RESNET, DINOV3, SIGLIP], ids=lambda c: c.name)
@pytest.mark.parametrize("classes", [0, 5])
def test_a_file_gives_its_network_with_its_own_classes(of: NetworkConfig, classes: int, tmp_path: Path) -> None:
    config = stored(of, classes, tmp_path / "source.safetensors")
    found = obtain(config, tmp_path / "teacher")
    assert found.classes == classes
    assert not found.training and not any(p.requires_grad for p in found.parameters())
    assert torch.equal(found.tokens(IMAGES, 4), network(of, classes).tokens(IMAGES, 4))
    assert sha256_file(tmp_path / "teacher" / "model.safetensors") == config.sha256
    save_config(tmp_path / "teacher", found, {})
    assert torch.equal(load_network(tmp_path / "teacher").tokens(IMAGES, 4), found.tokens(IMAGES, 4))


def test_an_object_store_gives_the_same_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = stored(RESNET, 5, tmp_path / "source.safetensors")
    with running(monkeypatch) as client:
        client.upload_file(config.weights, BUCKET, "networks/resnet.safetensors")
        uri = f"s3://{BUCKET}/networks/resnet.safetensors"
        found = obtain(config.model_copy(update={"weights": uri}), tmp_path / "teacher")
    assert torch.equal(found.logits(IMAGES), network(RESNET, 5).logits(IMAGES))


def test_another_sha256_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    config = stored(RESNET, 5, tmp_path / "source.safetensors")
    other = "0" * 64
    with user_error(rf"source.safetensors has sha256 {config.sha256}, but {other} was expected"):
        obtain(config.model_copy(update={"sha256": other}), tmp_path / "teacher")
    assert list((tmp_path / "teacher").iterdir()) == []


def test_the_first_tensor_that_does_not_fit_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "source.safetensors"
    config = stored(RESNET, 5, path)
    weights = load_file(path)

    def refused(changed: dict[str, torch.Tensor], message: str) -> None:
        save_file(changed, path)
        with user_error(message):
            obtain(config.model_copy(update={"sha256": sha256_file(path)}), tmp_path / "teacher")
        assert list((tmp_path / "teacher").iterdir()) == []

    refused({**weights, "extra": torch.zeros(1)}, "holds the tensor extra")
    refused({k: v for k, v in weights.items() if k != "conv1.0.weight"}, "lacks the tensor conv1.0.weight")
    refused(
        {**weights, "conv1.0.weight": torch.zeros(2, 3, 3, 3)}, r"has shape \[2, 3, 3, 3\], .* needs \[24, 3, 3, 3\]"
    )


@pytest.mark.parametrize(
    "content,said", [(b"not weights" * 10, "is damaged or not a safetensors file"), (None, "cannot be read")]
)
def test_a_file_of_no_use_is_named(content: bytes | None, said: str, tmp_path: Path) -> None:
    path, digest = tmp_path / "source.safetensors", "0" * 64
    if content is not None:
        path.write_bytes(content)
        digest = sha256_file(path)
    with user_error(rf"source.safetensors {said}"):
        obtain(RESNET.model_copy(update={"weights": str(path), "sha256": digest}), tmp_path / "teacher")


def test_a_download_that_fails_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    config = RESNET.model_copy(update={"weights": "timm", "options": {}})
    with user_error(r"could not download the weights of resnet10t .* set weights to the path"):
        obtain(config, tmp_path / "teacher")
