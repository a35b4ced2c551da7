import json
import py_compile
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from rectok import artifacts
from rectok.cli.main import app
from rectok.doctor.diagnosis import Diagnosis
from rectok.doctor.disk import links
from rectok.doctor.hardware import deepspeed, devices, import_deepspeed
from rectok.doctor.local_paths import weights
from rectok.doctor.networks import networks
from rectok.doctor.versions import bytecode, versions
from rectok.files import write_text
from rectok.params import Params
from rectok.storage.hashing import sha256_file
from rectok.workloads.costs import Costs
from tests.doctor.diagnoses import statuses
from tests.project import overridden
from tests.project import tiny as params


def test_free_space_is_compared_with_the_plan_for_the_images_of_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts.write_json(artifacts.summary_file("index"), {"splits": {"train": 10**13}})
    artifacts.write_json(artifacts.classes_file(), ["a", "b"])
    counted: list[int] = []
    build = Costs.__init__

    def counting(self: Costs, parameters: Params, classes: int) -> None:
        counted.append(classes)
        build(self, parameters, classes)

    monkeypatch.setattr(Costs, "__init__", counting)
    built, diagnosis = networks(params())
    assert built.status == "OK" and counted == [2]  # both checks share one count of the parts
    assert diagnosis.status == "FAIL" and "free some space" in diagnosis.remedy


def test_without_a_number_of_images_the_need_is_unknown(folder: Path) -> None:
    built, disk = networks(params(preset="photos"))
    assert (built.status, disk.status) == ("OK", "WARN")
    assert "nothing says how many images photos has" in disk.remedy


@pytest.mark.parametrize(
    "changes,detail",
    [
        ({"teacher__network__name": "nosuch"}, "timm has no network 'nosuch'"),
        ({"tokenizer__kind": "rae"}, "tokenizer.sizes.channels is 4, but must be 16, the teacher's width"),
        (
            {"tokenizer__kind": "rae", "tokenizer__sizes__channels": 16, "tokenizer__rae__layers": 2},
            "tokenizer.rae.layers is 2, but only the last 1 of",
        ),
    ],
)
def test_networks_that_no_stage_could_build(changes: dict[str, Any], detail: str) -> None:
    assert next(networks(params())).status == "OK"
    diagnosis, disk = networks(params(**changes))
    assert diagnosis.status == "FAIL" and detail in diagnosis.detail
    assert (disk.status, disk.remedy) == ("WARN", "the size of a run follows from its networks; change them first")


def test_links_into_the_cache(repository: Path) -> None:
    subprocess.run(("dvc", "config", "cache.type", "hardlink"), check=True)
    assert "DVC uses hardlink" in links().detail and links().status == "OK"
    subprocess.run(("dvc", "config", "cache.type", "copy"), check=True)
    copies = links()
    assert copies.status == "WARN" and "dvc config cache.type" in copies.remedy
    assert [path.name for path in repository.iterdir() if path.name.startswith(".doctor")] == []


def test_a_folder_that_is_no_dvc_project() -> None:
    assert (links().status, "dvc init" in links().remedy) == ("FAIL", True)


def test_packages_that_every_command_compiles_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = folder / "large" / "__init__.py"
    write_text(module, "")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    compiled = bytecode(("large", "nosuch"))
    assert (
        compiled.status == "WARN" and "seconds to compile large:" in compiled.detail and "DONTWRITE" in compiled.detail
    )
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    assert bytecode(("large",)).status == "OK"  # it will be written
    py_compile.compile(str(module))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert bytecode(("large",)).status == "OK"


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is wrong where there is no GPU")
def test_devices() -> None:
    assert devices(params(machine__device="cuda")).status == "FAIL"
    assert devices(params()).status == "OK"
    assert devices(params(preset="imagenet256")).status == "WARN"


@pytest.mark.slow  # imports DeepSpeed
@pytest.mark.usefixtures("commands_at_once")
def test_deepspeed_and_its_hosts(folder: Path) -> None:
    local = deepspeed(params(), import_deepspeed())
    assert local.status == "OK" and local.detail.startswith("DeepSpeed 0.")
    missing = deepspeed(params(machine__hostfile="no-such-hosts"), import_deepspeed())
    assert (missing.status, missing.detail) == ("FAIL", "machine.hostfile no-such-hosts does not exist")


def test_weights_that_are_missing_changed_right_and_downloaded(folder: Path) -> None:
    assert statuses(weights(params())) == {"weights": "OK"}
    (folder / "file").write_bytes(b"weights")
    right = sha256_file(folder / "file")
    named = params(
        tokenizer__initial={"path": "file", "sha256": right},
        dit__initial={"path": "file", "sha256": "0" * 64},
        autoguidance__initial={"path": "gone", "sha256": right},
        tokenizer__losses__perceptual__vgg={"path": "torchvision", "sha256": ""},
        generation__reference="statistics.npz",
    )
    assert statuses(weights(named)) == {
        "weights tokenizer.initial.path": "OK",
        "weights dit.initial.path": "FAIL",
        "weights autoguidance.initial.path": "FAIL",
        "weights tokenizer.losses.perceptual.vgg.path": "WARN",
        "weights generation.reference": "FAIL",
    }


def test_versions(folder: Path) -> None:
    assert versions().status == "OK"

    def checked(python: str, dependency: str, locked: str) -> Diagnosis:
        text = f'[project]\nname = "x"\nrequires-python = "{python}"\ndependencies = ["{dependency}"]\n'
        write_text(folder / "pyproject.toml", text)
        write_text(folder / "requirements.lock", f"# a comment\n{locked}\n")
        return versions(folder)

    assert checked(">=3.11", "numpy", "numpy").status == "OK"
    assert checked(">=9", "numpy", "numpy").status == "FAIL"
    assert checked(">=3.11", "numpy>=99", "numpy").detail.startswith("numpy is ")
    assert checked(">=3.11", "no-such-package", "numpy").detail == "no-such-package is not installed"
    differs = checked(">=3.11", "numpy", "numpy==0.1")
    assert differs.status == "WARN" and differs.detail.endswith("not ==0.1")


@pytest.mark.slow
@pytest.mark.usefixtures("commands_at_once")
def test_the_command_prints_a_line_each_and_exits_1_on_a_failure(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    subprocess.run(("dvc", "config", "cache.type", "hardlink"), check=True)
    write_text(repository / "params.yaml", overridden({}))
    well = CliRunner().invoke(app, ["doctor"])
    assert well.exit_code == 0, well.output
    assert [line.split()[0] for line in well.stdout.splitlines()] == ["OK"] * 10, well.output
    write_text(repository / "params.yaml", "seed: none")
    ill = CliRunner().invoke(app, ["doctor", "--json"])
    status = {diagnosis["name"]: diagnosis["status"] for diagnosis in json.loads(ill.stdout)}
    assert ill.exit_code == 1
    assert status["params"] == "FAIL" and status["versions"] == "OK"
