"""The guides of what one adds work as they are written: a stage, a gate, code, a teacher, weights."""

import json

import pytest
import torch
from ruamel.yaml import YAML
from torchvision.models.vgg import cfgs, make_layers

from rectok.losses.loss_config import PerceptualConfig
from rectok.losses.perceptual import load_lpips
from rectok.params import load
from rectok.workloads.objectives import teacher_like
from rectok.workloads.tokenizers import tokenizer_config
from tests.guides.guide import REPOSITORY, Clone, blocks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_add_a_stage(cloned: Clone) -> None:
    printed = cloned.follow("stage")
    record = json.loads((cloned.root / "data/colours/metrics.json").read_text())
    assert record["images"] > 150 and record["mean"][0] == record["mean"][1] == record["mean"][2]  # digits are grey
    assert "colours" in printed and "pass  smallest std" in printed


def test_add_a_gate(cloned: Clone) -> None:
    printed = cloned.follow("gate")
    assert "pass  held out" in printed
    assert (
        "gate index failed (data/checks/index.json): held out: the share of images that are held out is 0.3" in printed
    )
    assert "stopped, as it must be" in printed


def test_change_code(cloned: Clone) -> None:
    printed = cloned.follow("code")
    change = "the code of index changed (rectok/stages/index.py) and its version did not: `python -m"
    assert change in printed and "the test fails as well" in printed
    assert "raised stages.index, and recorded the code" in printed and '"class_count": 10' in printed
    version = YAML(typ="safe").load(REPOSITORY / "versions.yaml")["stages"]["index"]
    assert f"index\n  code version stages.index: {version} → {version + 1}\n" in printed
    assert printed.count("Data and pipelines are up to date.") == 2


def test_add_a_teacher(cloned: Clone) -> None:
    cloned.change(
        ["params.yaml"], {"index": {"limit": 100}, "gates": {"index": {"min_per_class": 5, "max_imbalance": 3}}}
    )
    assert "pass  sha256" in cloned.follow("teacher")
    summary = json.loads((cloned.root / "data/teacher/summary.json").read_text())
    assert (summary["network"], summary["proxy"]) == ("vit_small_patch16_dinov3", "")


def test_choose_another_tokenizer(cloned: Clone) -> None:
    """Each block for params.yaml makes the default parameters those of its kind, for the teacher that they name."""
    file, kinds = cloned.root / "params.yaml", []
    before = file.read_text()
    for block in (block for block in blocks("docs/guides/tokenizers.md") if block.before.startswith("In ")):
        file.write_text(before)
        cloned.follow_block(block)
        params = load(file)
        kinds.append(tokenizer_config(params, teacher_like(params).width).kind)
    assert kinds == ["vae", "rae"]


def test_put_weights_in_files(cloned: Clone) -> None:
    vgg = {f"features.{name}": x for name, x in make_layers(cfgs["D"], batch_norm=False).state_dict().items()}
    torch.save({**vgg, "classifier.0.bias": torch.zeros(2)}, cloned.root / "vgg16-397923af.pth")
    sha256, name = cloned.follow("weights").split()
    file = {"path": str(cloned.root / name), "sha256": sha256}
    others = {"lpips_heads": {"path": "torchmetrics", "sha256": ""}, "convnext": {"path": "", "sha256": ""}}
    config = PerceptualConfig.model_validate({"weight": 1.0, "lpips": 1.0, "logits": 0.0, "vgg": file, **others})
    lpips = load_lpips(config)
    assert lpips is not None
    torch.testing.assert_close(lpips.vgg.state_dict(), vgg, rtol=0, atol=0)
