"""Every guide works as it is written."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML
from torchvision.models.vgg import cfgs, make_layers

from rectok.ablation.workspace import CONFIG
from rectok.files import write_text
from rectok.losses.loss_config import PerceptualConfig
from rectok.losses.perceptual import load_lpips
from rectok.nightly.history import read_history
from tests.deploy.postgres import serving
from tests.evaluation import project
from tests.guides.guide import REPOSITORY, Clone, blocks, clone
from tests.nightly.promoting import passed
from tests.storage.server import running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def here(tmp_path: Path) -> Clone:
    """A clone with few images in one shard."""
    copy = clone(tmp_path / "clone")
    small = {"index": {"limit": 300, "shards": ["00000"]}, "gates": {"index": {"min_per_class": 20}}}
    copy.change(["params.yaml"], small)
    return copy


def test_add_a_stage(here: Clone) -> None:
    printed = here.follow("stage")
    record = json.loads((here.root / "data/colours/metrics.json").read_text())
    assert record["images"] > 150 and record["mean"][0] == record["mean"][1] == record["mean"][2]  # digits are grey
    assert "colours" in printed and "pass  smallest std" in printed


def test_add_a_gate(here: Clone) -> None:
    printed = here.follow("gate")
    assert "pass  held out" in printed
    assert (
        "gate index failed (data/checks/index.json): held out: the share of images that are held out is 0.3" in printed
    )
    assert "stopped, as it must be" in printed


def test_change_code(here: Clone) -> None:
    printed = here.follow("code")
    change = "the code of index changed (rectok/stages/index.py) and its version did not: `python -m"
    assert change in printed and "the test fails as well" in printed
    assert "raised stages.index, and recorded the code" in printed and '"class_count": 10' in printed
    version = YAML(typ="safe").load(REPOSITORY / "versions.yaml")["stages"]["index"]
    assert f"index\n  code version stages.index: {version} → {version + 1}\n" in printed
    assert printed.count("Data and pipelines are up to date.") == 2


def test_bring_your_own_images(here: Clone) -> None:
    here.follow("images")
    record = json.loads((here.root / "data/index/summary.json").read_text())
    assert record["images"] == 301
    [bad] = [row for path in here.root.glob("data/shards/*.quarantine.json") for row in json.loads(path.read_text())]
    assert bad["uri"].endswith("class-0/broken.png")
    assert (here.root / "data/baseline/index.json").exists()


def test_own_images_as_in_the_readme(here: Clone) -> None:
    drawing = next(block.text for block in blocks("docs/guides/images.md") if "Image.fromarray" in block.text)
    here.run("bash", "-c", drawing)
    six_lines = next(block.text for block in blocks("README.md") if "photos" in block.text)
    before_training, training = six_lines.rsplit("\n", 2)[:2]
    assert training.startswith("dvc repro ")
    here.run("bash", "-euo", "pipefail", "-c", before_training)
    assert json.loads((here.root / "data/index/summary.json").read_text())["images"] == 301
    params = YAML().load(here.root / "params.yaml")
    networks = (params["teacher"]["network"], params["metric_network"]["network"])
    assert {params["image"]["size"], *(network["image_size"] for network in networks)} == {64}


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_use_it_from_python(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project.build()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/samples.png").write_bytes((REPOSITORY / "docs/samples.png").read_bytes())
    [code] = [block.text for block in blocks(page) if block.kind == "python"]
    values: dict[str, Any] = {}
    exec(code.replace("label=3", f"label={project.CLASSES - 1}"), values)
    assert values["latents"].shape[0] == 1 and values["images"].shape == (1, 3, project.SIDE, project.SIDE)
    assert values["samples"].shape == (4, 3, project.SIDE, project.SIDE)
    assert values["samples"].min() >= 0 and values["samples"].max() <= 1


def test_add_a_teacher(here: Clone) -> None:
    assert "pass  sha256" in here.follow("teacher")
    summary = json.loads((here.root / "data/teacher/summary.json").read_text())
    assert (summary["network"], summary["proxy"]) == ("vit_small_patch16_dinov3", "")


def test_put_weights_in_files(here: Clone) -> None:
    vgg = {f"features.{name}": x for name, x in make_layers(cfgs["D"], batch_norm=False).state_dict().items()}
    torch.save({**vgg, "classifier.0.bias": torch.zeros(2)}, here.root / "vgg16-397923af.pth")
    sha256, name = here.follow("weights").split()
    file = {"path": str(here.root / name), "sha256": sha256}
    others = {"lpips_heads": {"path": "torchmetrics", "sha256": ""}, "convnext": {"path": "", "sha256": ""}}
    config = PerceptualConfig.model_validate({"weight": 1.0, "lpips": 1.0, "logits": 0.0, "vgg": file, **others})
    lpips = load_lpips(config)
    assert lpips is not None
    torch.testing.assert_close(lpips.vgg.state_dict(), vgg, rtol=0, atol=0)


def test_read_the_nightly_page(here: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here.root)
    monkeypatch.setenv("COLUMNS", "200")
    project.build()
    project.build_evaluation()
    passed()
    # Networks that nobody trained draw very different figures every night.
    here.change(["params.yaml"], {"nightly": {"gfid_tolerance": 100.0, "accuracy_tolerance": 1.0}})
    printed = here.follow("nightly")
    assert "1 (current)" in printed and "gFID 1.8, was 2.2" in printed and "promotion 2: generator" in printed
    nights = [night.date for night in read_history()]
    assert len(nights) == 2 and "2026-01-31" in nights
    assert "2026-01-31" in (here.root / "data/nightly/index.html").read_text(encoding="utf-8")


def test_recover_from_failures(here: Clone) -> None:
    # Of few images the teacher learns little; the tokenizer need not learn.
    short = {"sizes": {"decoder": {"depth": 1}}, "training": {"epochs": 4, "batch": 32, "micro_batch": 32}}
    here.change(["params.yaml"], {"gates": {"teacher": {"min_accuracy": 0.0}}, "tokenizer": short})
    first, *others = blocks("docs/guides/recovery.md")
    printed = here.follow_block(first)
    # The second recipe loses the run cache, and the others add to one.
    shard = Path("data/shards/00000.tar")
    assert experiment(here, "shards@00000", shard) == (here.root / shard).read_bytes()
    printed += "".join(map(here.follow_block, others))
    weights = Path("data/tokenizer/model.safetensors")
    assert experiment(here, "tokenizer", weights) == (here.root / weights).read_bytes()
    assert "gate shards failed" in printed and "the gate has stopped it" in printed
    back, _, further = printed.partition("pushed")[2].partition("it says what is wrong")
    assert back.count("data/shards/00000.tar") == 2 and "fetched" in back and "Running stage" not in back
    assert "rectok: DVC cannot read the pipeline: './dvc.yaml' validation failed" in back
    assert "4 stages are up to date" in further
    _, drifted, accepted = further.partition("the index has drifted")
    assert drifted and "accepted 290 images" in accepted and "pass  class drift: 0.0" in accepted
    assert "tokenizer: the loss is not a finite number at step" in accepted and "it says at which step" in accepted


def experiment(project: Clone, target: str, path: Path) -> bytes:
    """The file that DVC has in its cache for an experiment, whose folder knows the inputs and no results."""
    folder = project.root.parent / "experiment"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("dvc.yaml", "params.yaml", "versions.yaml", "data/raw", "data/baseline"):
        project.run("cp", "-r", "--parents", name, str(folder))
    write_text(folder / ".dvc/config", CONFIG.format(cache=project.root / ".dvc/cache"))
    printed = Clone(folder).run("dvc", "repro", target)
    assert f"Running stage '{target}'" not in printed
    return (folder / path).read_bytes()


def test_run_on_eight_gpus(here: Clone) -> None:
    printed = here.follow("gpus")
    assert "Memory of one GPU, GB" in printed and "DINOv3" in printed


def test_run_on_s3(here: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(monkeypatch) as client:
        client.create_bucket(Bucket="bucket")
        (settings := here.root.parent / "aws").touch()
        monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))  # DVC wants a real file
        printed = here.follow("storage")
        keys = {item["Key"] for item in client.list_objects_v2(Bucket="bucket")["Contents"]}
    assert "OK    credentials: from env" in printed
    assert any(key.startswith("project/shards/") for key in keys) and any(
        key.startswith("project/dvc/") for key in keys
    )
    assert (here.root / "data/shards/00000.tar").stat().st_size < 1000


def test_move_to_postgres(here: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        printed = here.follow("postgres")
    assert "RUN_SUCCESS" in printed
    assert not list((here.root / ".dagster").rglob("*.db"))
