"""The whole pipeline as its users run it: `rectok init --from`, `dvc repro` and Dagster on a tiny project that gets damaged."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from rectok.data.tables import read_table
from rectok.params.editing import edited
from tests import command
from tests.data.files import image_folder
from tests.project import TINY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SHARD = "00001"
SMALL = {name: value for name, value in TINY.items() if not name.startswith(("index.", "gates.index."))} | {
    "index.shards": ["00000", SHARD],
    "index.split": TINY["index.split"],
}


@dataclass(frozen=True)
class Project:
    """A DVC project in a folder, and the commands of its users."""

    folder: Path

    def run(self, *words: str) -> tuple[bool, str]:
        """Whether the command succeeded, and all that it printed."""
        places = {"DAGSTER_HOME": str(self.folder / ".dagster"), "RECTOK_ROOT": str(self.folder)}
        done = command.run(self.folder, *words, **places)
        return done.returncode == 0, done.stdout + done.stderr

    def must(self, *words: str) -> str:
        """What a command printed that had to succeed."""
        succeeded, printed = self.run(*words)
        assert succeeded, printed
        return printed

    def materialize(self, asset: str) -> tuple[bool, str]:
        """One Dagster run of one asset's shard."""
        where = ("-m", "orchestration.definitions", "--partition", SHARD)
        return self.run("dagster", "asset", "materialize", "--select", f'key:"{asset}"', *where)

    def change(self, changes: dict[str, Any]) -> None:
        """Change parameters."""
        path = self.folder / "params.yaml"
        path.write_text(edited(path.read_text(), changes))

    def accept(self, stage: str) -> None:
        """Tell DVC that what lies there is what the stage made, as a broken disk or a bad push would."""
        self.must("dvc", "commit", "--force", stage)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """What `rectok init --from` makes of labelled photographs, with tiny networks."""
    found = Project(tmp_path_factory.mktemp("pipeline"))
    image_folder(found.folder / "photos", {str(label): 15 for label in range(10)})
    found.must("git", "init", "--quiet")
    assert "classes                 10, of 15 to 15 images" in found.must("rectok", "init", "--from", "photos")
    found.change(SMALL)
    return found


def damage(path: Path, offset: int) -> None:
    """Change bytes of a copy: the file itself may be a link into DVC's cache."""
    content = bytearray(path.read_bytes())
    content[offset : offset + 8] = bytes(255 - byte for byte in content[offset : offset + 8])
    path.unlink()
    path.write_bytes(content)


def check_that_both_doors_stop(project: Project, stage: str, row: int) -> None:
    """Neither `dvc repro` nor a Dagster run goes past the gate, and both name the shard and the row."""
    project.accept(f"{stage}@{SHARD}")
    for succeeded, printed in (project.run("dvc", "repro", f"gate-{stage}@{SHARD}"), project.materialize(stage)):
        assert not succeeded
        assert SHARD in printed
        assert f"row {row}" in printed
    report = json.loads((project.folder / f"data/checks/{stage}/{SHARD}.json").read_text())
    assert report["passed"] is False
    assert not (project.folder / f"data/passed/{stage}/{SHARD}").exists()


def test_damage_stops_at_the_gate_and_the_repaired_pipeline_goes_to_the_end(project: Project) -> None:
    data = project.folder / "data"

    project.must("dvc", "repro", f"shards@{SHARD}")
    row = 3
    offset = int(read_table(data / f"shards/{SHARD}.parquet")["offset"][row].as_py())
    damage(data / f"shards/{SHARD}.tar", offset + 60)
    check_that_both_doors_stop(project, "shards", row)
    assert not (data / "teacher").exists()

    project.must("rectok", "repair", f"shards@{SHARD}")
    project.must("dvc", "repro", f"features@{SHARD}")
    row = 5
    features = data / f"features/{SHARD}.safetensors"
    damage(features, row_of_features(features, row))
    check_that_both_doors_stop(project, "features", row)
    assert not (data / "tokenizer").exists()

    project.must("rectok", "repair", f"features@{SHARD}")
    project.must("dvc", "repro")
    assert (data / "report/index.html").stat().st_size > 10_000
    assert "up to date" in project.must("dvc", "repro")


def row_of_features(path: Path, row: int) -> int:
    """Where the bytes of a row begin in the file."""
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
        begin = json.loads(file.read(header))["features"]["data_offsets"][0]
    with safe_open(path, framework="numpy") as tensors:
        one = tensors.get_slice("features")[0]
    return 8 + header + int(begin) + row * one.nbytes + 100


def test_the_summary_is_one_json_object_with_every_figure(project: Project) -> None:
    found = json.loads(project.must("rectok", "summary"))
    figures = {"psnr", "ssim", "rfid", "gfid", "gfid_guided", "inception_score", "precision", "recall"}
    figures |= {"metric_network_accuracy", "sample_accuracy", "sample_accuracy_guided"}
    assert figures <= found.keys()
    assert figures <= found["networks"].keys()
    assert [point["t"] for point in found["probe"]] == [0.0, 0.5]
    assert {"index", "shards", "tokenizer", "dit", "generation"} <= found["seconds"].keys()


def test_a_new_threshold_reruns_the_gate_and_no_training(project: Project) -> None:
    project.change({"gates.dit.min_sample_std": 1e-9})
    stale = json.loads(project.must("dvc", "status", "--json"))
    assert "gate@dit" in stale
    assert "dit" not in stale
    project.must("dvc", "repro", "gate@dit")
    stale = json.loads(project.must("dvc", "status", "--json"))
    assert not [name for name in stale if not name.startswith(("report", "gate@report"))]


def test_images_drawn_on_demand(project: Project) -> None:
    out = project.folder / "grid.png"
    project.must("rectok", "sample", "--label", "3", "--count", "4", "--guidance", "1.5", "--out", str(out))
    assert out.read_bytes().startswith(b"\x89PNG")


def test_features_computed_during_training(project: Project) -> None:
    """With `features.storage: online` nothing is cached, and the tokenizer asks the teacher itself."""
    project.change({"features.storage": "online"})
    project.must("dvc", "repro", "gate@tokenizer")
    with safe_open(project.folder / f"data/features/{SHARD}.safetensors", framework="numpy") as tensors:
        assert "features" not in tensors.keys()  # noqa: SIM118 - it is no dictionary
    assert -1 <= json.loads((project.folder / "data/tokenizer/summary.json").read_text())["semantic_cosine"] <= 1
