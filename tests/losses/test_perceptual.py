from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image.lpips import _LPIPS

from rectok.losses.loss_config import PerceptualConfig, PerceptualFile
from rectok.losses.perceptual import PerceptualLoss, feature_distance, load_lpips
from rectok.storage.hashing import sha256_file
from tests.errors import user_error

pytestmark = pytest.mark.slow  # VGG16 and ConvNeXt-S in full size
NONE = PerceptualFile(path="", sha256="")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Random VGG16 and ConvNeXt-S in the documented keys, and the published LPIPS heads that torchmetrics carries."""
    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = _LPIPS(pretrained=True, net="vgg", pnet_rand=True)
        convnext = timm.create_model("convnext_small")
    torch.save(theirs, folder / "theirs.pt")
    vgg = {f"features.{k.split('.', 1)[1]}": v for k, v in theirs.net.state_dict().items()}
    save_file({**vgg, "classifier.0.bias": torch.zeros(3)}, folder / "vgg.safetensors")
    heads = {k: v for k, v in theirs.state_dict().items() if k.startswith("lin") and not k.startswith("lins")}
    save_file(heads, folder / "heads.safetensors")
    # timm's initial head gives scores of almost zero; larger ones make the comparison mean something.
    convnext.head.fc.weight.data.mul_(100)
    save_file(convnext.state_dict(), folder / "convnext.safetensors")
    return folder


def file(path: Path) -> PerceptualFile:
    return PerceptualFile(path=str(path), sha256=sha256_file(path))


def config(folder: Path | None, logits: float = 0.1) -> PerceptualConfig:
    files = [file(folder / f"{name}.safetensors") if folder else NONE for name in ("vgg", "heads", "convnext")]
    names = ("vgg", "lpips_heads", "convnext")
    of = dict(zip(names, files, strict=True)) | ({} if logits else {"convnext": NONE})
    return PerceptualConfig(weight=1.0, lpips=1.0, logits=logits, **of)


@pytest.fixture(scope="module")
def whole(folder: Path) -> PerceptualLoss:
    """LPIPS and the logits of ConvNeXt-S."""
    return PerceptualLoss(config(folder), nothing)


@pytest.fixture(scope="module")
def lpips(folder: Path) -> PerceptualLoss:
    return PerceptualLoss(config(folder, logits=0.0), nothing)


def nothing(images: Tensor) -> Sequence[Tensor]:
    raise AssertionError("the proxy is not asked where weights are given")


def images(seed: int, side: int = 48) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_lpips_agrees_with_torchmetrics(folder: Path, lpips: PerceptualLoss) -> None:
    theirs = torch.load(folder / "theirs.pt", weights_only=False)
    expected = theirs(images(0), images(1), normalize=True).mean()
    torch.testing.assert_close(lpips(images(0), images(1)), expected, rtol=1e-4, atol=1e-7)
    assert lpips.name == "LPIPS-VGG16"


def test_lpips_of_its_own_is_one_distance_an_image(folder: Path) -> None:
    found = load_lpips(config(folder))
    assert found is not None
    theirs = torch.load(folder / "theirs.pt", weights_only=False)
    expected = torch.stack(
        [theirs(a[None], b[None], normalize=True).squeeze() for a, b in zip(images(0), images(1), strict=True)]
    )
    torch.testing.assert_close(found(images(0), images(1)), expected, rtol=1e-4, atol=1e-7)
    assert not any(parameter.requires_grad for parameter in found.parameters())
    assert load_lpips(config(None)) is None


def test_logits_are_added_in_their_share(folder: Path, whole: PerceptualLoss, lpips: PerceptualLoss) -> None:
    a, b = images(0), images(1)
    assert whole.name == "LPIPS-VGG16 + ConvNeXt-S"
    distance = lpips(a, b)
    convnext = timm.create_model("convnext_small").eval()
    convnext.load_state_dict(load_file(folder / "convnext.safetensors"))
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    ours, theirs = (convnext((F.interpolate(x, 224, mode="bilinear", antialias=True) - mean) / std) for x in (a, b))
    mse = (ours - theirs).square().mean()
    assert 0.1 * mse > 1e-3 * distance
    torch.testing.assert_close(whole(a, b), (distance + 0.1 * mse) / 1.1)


def test_gradients_reach_the_images_only(whole: PerceptualLoss) -> None:
    a, b = images(0).requires_grad_(), images(1).requires_grad_()
    whole(a, b).backward()
    assert a.grad is not None and a.grad.isfinite().all() and a.grad.abs().sum() > 0
    assert b.grad is None
    assert all(p.grad is None for p in whole.parameters())


def test_equal_images_have_no_distance_and_finite_gradients(whole: PerceptualLoss) -> None:
    a = images(0).requires_grad_()
    value = whole(a, a.detach())
    value.backward()
    assert value.item() == 0
    assert a.grad is not None and a.grad.isfinite().all()


def two_scales(images: Tensor) -> list[Tensor]:
    return [images, F.avg_pool2d(images, 4)]


def test_proxy_is_the_mean_over_layers_of_normalised_differences() -> None:
    loss = PerceptualLoss(config(None), two_scales)
    assert loss.name == "proxy: layers of the teacher"
    a, b = images(0), images(1)
    cosines = [F.cosine_similarity(x, y, dim=1) for x, y in zip(two_scales(a), two_scales(b), strict=True)]
    expected = torch.stack([(2 - 2 * c).mean() for c in cosines]).mean()  # |u − v|² = 2 − 2·cos for unit vectors
    torch.testing.assert_close(loss(a, b), expected)
    assert loss(a, a).item() == 0


def test_proxy_gradients_reach_the_images_only() -> None:
    a, b = images(0).requires_grad_(), images(1).requires_grad_()
    PerceptualLoss(config(None), two_scales)(a, b).backward()
    assert a.grad is not None and a.grad.abs().sum() > 0
    assert b.grad is None


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_feature_distance_ignores_length(factor: float) -> None:
    a, b = images(0), images(1)
    torch.testing.assert_close(feature_distance(a, factor * b), feature_distance(a, b))
    torch.testing.assert_close(feature_distance(a, -factor * a), torch.tensor(4.0))


def test_it_computes_in_the_autocast_type() -> None:
    convolution = torch.nn.Conv2d(3, 8, 3)
    seen = []

    def layers(images: Tensor) -> list[Tensor]:
        seen.append(convolution(images))
        return seen[-1:]

    with torch.autocast("cpu", torch.bfloat16):
        PerceptualLoss(config(None), layers)(images(0), images(1))
    assert [x.dtype for x in seen] == [torch.bfloat16, torch.bfloat16]


def test_weights_given_in_part_are_an_error(folder: Path) -> None:
    whole = config(folder)
    for name in ("vgg", "lpips_heads", "convnext"):
        with user_error(f"perceptual.{name}.path is empty"):
            PerceptualLoss(whole.model_copy(update={name: NONE}), nothing)


def test_damaged_and_foreign_weights_are_named(folder: Path, tmp_path: Path) -> None:
    whole = config(folder)
    build = partial(PerceptualLoss, layers=nothing)
    wrong = PerceptualFile(path=whole.vgg.path, sha256="0" * 64)
    with user_error(rf"{whole.vgg.path} has sha256 {whole.vgg.sha256}, but {'0' * 64} was expected"):
        build(whole.model_copy(update={"vgg": wrong}))
    with user_error(r"heads.safetensors lacks the tensor features.0.weight"):
        build(whole.model_copy(update={"vgg": whole.lpips_heads}))
    vgg = load_file(folder / "vgg.safetensors")
    save_file({**vgg, "features.0.weight": torch.zeros(64, 3, 5, 5)}, tmp_path / "vgg.safetensors")
    with user_error(r"features.0.weight has shape \[64, 3, 5, 5\].* needs \[64, 3, 3, 3\]"):
        build(whole.model_copy(update={"vgg": file(tmp_path / "vgg.safetensors")}))
    (tmp_path / "noise.safetensors").write_bytes(b"noise" * 10)
    with user_error(r"noise.safetensors is damaged or not a safetensors file"):
        build(whole.model_copy(update={"vgg": file(tmp_path / "noise.safetensors")}))


def test_unread_weights_are_random_ones_of_the_same_networks(folder: Path, whole: PerceptualLoss) -> None:
    absent = PerceptualFile(path="absent.safetensors", sha256="0" * 64)
    named = config(folder).model_copy(update={"vgg": absent, "lpips_heads": absent, "convnext": absent})
    random = PerceptualLoss(named, nothing, read=False)
    assert random.name == whole.name
    shapes, expected = ({key: x.shape for key, x in of.state_dict().items()} for of in (random, whole))
    assert shapes == expected
