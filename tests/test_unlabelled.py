"""Images without labels from a folder to the report: what `rectok init --from` writes, with tiny networks from files."""

import importlib
import warnings
from pathlib import Path

import pytest
from safetensors.torch import save_file

from rectok import artifacts
from rectok.artifacts import STAGES
from rectok.cli.from_folder import parameters_from
from rectok.evaluation.metrics import read_record
from rectok.params import Params, parse, preset_text
from rectok.params.editing import edited
from rectok.storage.hashing import sha256_file
from rectok.teacher.network import VisionNetwork
from tests.data.files import picture
from tests.errors import user_error
from tests.project import TINY, run_stages

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
NETWORKS = ("teacher", "metric_network")
UNMEASURED = {
    "reconstruction": {"metric_network_accuracy", "reconstruction_accuracy"},
    "probe": {"probe", "semantic_accuracy"},
    "generation": {"sample_accuracy", "sample_accuracy_guided"},
}


def params(**weights: str) -> Params:
    """Parameters for the folder `photos` with tiny networks; `weights` are the files of those that come from elsewhere."""
    changes = {name: value for name, value in TINY.items() if not name.startswith(("index.", "gates.index."))}
    network = parse(preset_text("photos"), "photos").teacher.network.model_dump()
    changes = {f"{name}.network": network for name in NETWORKS} | changes | {"image.size": 16}
    for name, path in weights.items():
        changes |= {f"{name}.network.weights": path, f"{name}.network.sha256": sha256_file(Path(path))}
    return parse(edited(parameters_from("photos", "none", 64), changes), "params.yaml")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unlabelled")
    for number in range(150):
        path = folder / "photos" / f"{number // 50}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number, (24, 20)))
    return folder


def test_everything_but_accuracy_is_measured(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    weights = {}
    for name in NETWORKS:
        network = VisionNetwork(getattr(params(), name).network, 7)
        weights[name] = str(project / f"{name}.safetensors")
        save_file(network.trunk.state_dict(), weights[name])
    settings = params(**weights)
    assert settings.index.source == "photos" and len(settings.index.shards) == 1
    (project / "params.yaml").write_text(settings.model_dump_json())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_stages(settings, *STAGES)
    assert artifacts.read_json(artifacts.classes_file(), list) == ["unlabelled"]
    for stage, names in UNMEASURED.items():
        record = read_record(stage)
        assert {name for name, value in record.metrics.items() if value is None} - {"lpips"} == names
        assert {record.networks[name] for name in names} == {"unlabelled"}
    checks = {
        (report.gate, check.name): check.value
        for name in (*NETWORKS, "probe", "generation")
        for report in [artifacts.read_report(artifacts.check_file(name, None))]
        for check in report.checks
    }
    for key in (("teacher", "accuracy"), ("metric_network", "accuracy"), ("probe", "accuracy at t = 0.5"),
                ("generation", "sample accuracy"), ("generation", "sample accuracy guided")):  # fmt: skip
        assert checks[key] == "unlabelled"
    page = (artifacts.stage_dir("report") / "index.html").read_text(encoding="utf-8")
    assert page.count("unlabelled") >= 6


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_without_weights_cannot_be_trained(name: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    run_stages(params(), "index")
    with user_error(rf"a {name} cannot be trained on unlabelled images .* in {name}\.network\.weights"):
        importlib.import_module(f"rectok.stages.{name}").run(params())
