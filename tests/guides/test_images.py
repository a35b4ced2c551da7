"""Own images and the Python package, as the guides and the README show them."""

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.evaluation import project
from tests.guides.guide import REPOSITORY, Clone, blocks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_bring_your_own_images(cloned: Clone) -> None:
    cloned.follow("images")
    record = json.loads((cloned.root / "data/index/summary.json").read_text())
    assert record["images"] == 301
    [bad] = [row for path in cloned.root.glob("data/shards/*.quarantine.json") for row in json.loads(path.read_text())]
    assert bad["uri"].endswith("class-0/broken.png")
    assert (cloned.root / "data/baseline/index.json").exists()


def test_own_images_as_in_the_readme(cloned: Clone) -> None:
    drawing = next(block.text for block in blocks("docs/guides/images.md") if "Image.fromarray" in block.text)
    cloned.run("bash", "-c", drawing)
    six_lines = next(block.text for block in blocks("README.md") if "photos" in block.text)
    before_training, training = six_lines.rsplit("\n", 2)[:2]
    assert training.startswith("dvc repro ")
    cloned.run("bash", "-euo", "pipefail", "-c", before_training)
    assert json.loads((cloned.root / "data/index/summary.json").read_text())["images"] == 301
    params = YAML().load(cloned.root / "params.yaml")
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
