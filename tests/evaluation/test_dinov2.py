"""DINOv2 by timm's layers has the features of torch-fidelity's extractor, and its table of positions."""

from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

from rectok.evaluation.dinov2 import PATCH, SIDE, DINOv2, resized_positions
from rectok.evaluation.inception import fetched_tensors
from rectok.storage.hashing import sha256_file
from rectok.teacher.network_config import NetworkConfig
from tests.errors import user_error
from tests.evaluation import project


def trunk() -> nn.Module:
    model = "vit_base_patch14_dinov2"
    return timm.create_model(model, img_size=SIDE, num_classes=0, depth=1, embed_dim=12, num_heads=2).eval()  # type: ignore[no-any-return]


def released() -> dict[str, Tensor]:
    """Weights as the release has them: positions of 37² patches, and a token for masked ones."""
    torch.manual_seed(0)
    weights = {name: torch.randn_like(tensor) * 0.1 for name, tensor in trunk().state_dict().items()}
    return {**weights, "pos_embed": torch.randn(1, 1 + 37**2, 12), "mask_token": torch.zeros(1, 12)}


def test_features_are_those_of_torch_fidelitys_extractor(monkeypatch: pytest.MonkeyPatch) -> None:
    network = DINOv2(trunk(), released(), "weights.pth").eval()
    # Its own code of the network is at torch.hub alone; preprocessing and output are torch-fidelity's.
    monkeypatch.setattr(torch.hub, "load", lambda *_: network.trunk)
    theirs = FeatureExtractorDinoV2("dinov2-vit-b-14", ["dinov2"])
    images = project.pictures(3)
    with torch.no_grad():
        [expected] = theirs(images)
        features, scores = network.features_and_logits(images.float() / 255)
    assert features.shape == (3, 12) and scores.shape == (3, 0)
    torch.testing.assert_close(features, expected)
    assert features.std(0).min() > 0


def test_positions_are_resized_by_the_scale_of_the_grid_plus_a_tenth() -> None:
    grid = SIDE // PATCH
    rows = torch.arange(37.0).repeat_interleave(37).view(1, -1, 1)
    table = resized_positions(torch.cat([torch.full((1, 1, 1), -5.0), rows], 1), grid)
    assert table[0, 0] == -5.0 and table.shape == (1, 1 + grid**2, 1)
    inner = torch.arange(1, grid - 1)
    expected = (inner + 0.5) * 37 / (grid + 0.1) - 0.5  # a linear table stays linear
    torch.testing.assert_close(table[0, 1:, 0].view(grid, grid)[inner, 3], expected, atol=0.1, rtol=0)
    same = torch.randn(1, 1 + grid**2, 4)
    assert resized_positions(same, grid) is same


def test_other_weights_are_a_sentence(here: Path) -> None:
    short = {name: tensor for name, tensor in released().items() if name != "norm.weight"}
    with user_error(r"weights\.pth lacks the tensor norm\.weight"):
        DINOv2(trunk(), short, "weights.pth")
    Path("weights.pth").write_bytes(b"nothing")
    described = {"name": "dinov2-vit-b-14", "options": {}, "image_size": SIDE, "mean": "auto", "std": "auto"}
    described |= {"weights": "weights.pth", "sha256": sha256_file(Path("weights.pth")), "licence": ""}
    with user_error(r"weights\.pth is not a torch file of tensors alone; it is from there"):
        fetched_tensors(NetworkConfig.model_validate(described), "it is from there")
