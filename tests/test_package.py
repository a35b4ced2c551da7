"""The wheel and the sdist, in an environment and a folder that know nothing of this clone."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image

from rectok.interop.published import to_published
from rectok.params import parse, preset_text
from rectok.tokenizer.model import ViTTokenizer
from rectok.workloads.tokenizers import tokenizer_config
from tests.interop.files import checkpoint
from tests.networks import drawn, generator
from tests.project import overridden

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
# Commands of `rectok` in one process, since each would import torch anew.
ONE_AFTER_ANOTHER = """
import sys
from rectok.cli.main import app
for command in sys.argv[1:]:
    app(command.split(), standalone_mode=False)
"""
SIZES = {"dit.sizes.head": {"width": 32, "depth": 1, "heads": 2}}


@dataclass(frozen=True)
class Installed:
    """The wheel in a virtual environment of its own. Its dependencies are those of the environment that runs the tests."""

    environment: Path

    def run(self, folder: Path, *command: str) -> str:
        """What a command printed that had to succeed in `folder`."""
        path = os.pathsep.join([str(self.environment / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
        env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PYTHON"))}
        done = subprocess.run(
            command, cwd=folder, env={**env, "PATH": path, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from nothing else."""
    folder = tmp_path_factory.mktemp("built")
    build(ROOT, folder, "sdist")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    build(next(path for path in folder.iterdir() if path.is_dir()), folder, "wheel")
    return folder


def build(source: Path, out: Path, target: str) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)], cwd=source, check=True)


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(packages)
    # Not as a .pth of theirs: the .pth files in there, of which one may name this clone, are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    script = environment / "bin" / "rectok"
    script.write_text(f"#!{environment}/bin/python\nfrom rectok.cli.main import main\nmain()\n")
    script.chmod(0o755)
    # The same `dvc` script as everywhere, in this environment.
    (environment / "bin" / "dvc").write_text(
        f"#!{environment}/bin/python\nfrom dvc.cli import main\nraise SystemExit(main())\n"
    )
    (environment / "bin" / "dvc").chmod(0o755)
    return Installed(environment)


def test_the_wheel_is_what_runs(installed: Installed, tmp_path: Path) -> None:
    code = "import rectok, orchestration; print(rectok.__file__, orchestration.__file__)"
    for file in installed.run(tmp_path, "python", "-c", code).split():
        assert Path(file).is_relative_to(installed.environment)


def test_an_empty_folder_becomes_a_project(installed: Installed, tmp_path: Path) -> None:
    printed = installed.run(tmp_path, "rectok", "init", "digits")
    assert "DVC works without git here" in printed and "wrote params.yaml from preset digits" in printed
    assert (tmp_path / "params.yaml").read_text() == preset_text("digits")
    for name in (
        "dvc.yaml", ".dvc/config", ".dvcignore", ".gitignore", "data/raw/README.md", "data/baseline/README.md",
    ):  # fmt: skip
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()
    assert "Running stage 'index'" in installed.run(tmp_path, "dvc", "repro", "gate-index")
    assert (tmp_path / "data/passed/index").exists() and (tmp_path / "dvc.lock").exists()
    assert installed.run(tmp_path, "rectok", "init", "digits").count("wrote") == 1

    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / ".gitignore").write_text("mine\n")
    assert "kept dvc.yaml, which is not that of this version; `rectok init --upgrade` replaces it" in installed.run(
        tmp_path, "rectok", "init", "cifar10", "--force"
    )
    (tmp_path / "data/baseline/README.md").unlink()
    upgraded = installed.run(tmp_path, "rectok", "init", "--upgrade")
    assert "replaced dvc.yaml, whose old text is in dvc.yaml.bak" in upgraded and "wrote data/baseline" in upgraded
    assert (tmp_path / "dvc.yaml.bak").read_text() == "stages: {}\n"
    assert (tmp_path / "dvc.yaml").read_bytes() == (ROOT / "dvc.yaml").read_bytes()
    assert (tmp_path / "params.yaml").read_text() == preset_text("cifar10")
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_networks_work_without_any_project(installed: Installed, tmp_path: Path) -> None:
    params = parse(overridden(SIZES), "params.yaml")
    torch.manual_seed(0)
    for name, network in {"tokenizer": ViTTokenizer(tokenizer_config(params, 16)), "dit": generator(params)}.items():
        drawn(network)
        checkpoint(tmp_path / f"{name}.pth", to_published(network.config, network.state_dict(), "dinov3"))
    (tmp_path / "statistics.json").write_text('{"mean": [0, 0, 0, 0], "std": [1, 1, 1, 1]}')
    Image.new("RGB", (40, 30), (200, 30, 60)).save(tmp_path / "red.png")

    place = "--tokenizer data/imported/tokenizer --statistics statistics.json --label 3 --count 2"
    printed = installed.run(
        tmp_path, "python", "-c", ONE_AFTER_ANOTHER,
        "plan --preset digits",
        "import tokenizer.pth --kind tokenizer --heads 2,2,2 --no-params",
        "import dit.pth --kind dit --no-params",
        "export --kind dit --from data/imported/dit --out again.pth",
        "reconstruct red.png --tokenizer data/imported/tokenizer --out rebuilt",
        f"sample --dit data/imported/dit {place} --out folder.png",
        f"sample --dit again.pth {place} --out file.png",
    )  # fmt: skip
    assert "digits, 1258 training images: fits 8 × 80 GB" in printed
    assert (tmp_path / "rebuilt" / "red.png").exists()
    assert (tmp_path / "folder.png").read_bytes() == (tmp_path / "file.png").read_bytes()
    assert not (tmp_path / "params.yaml").exists()
