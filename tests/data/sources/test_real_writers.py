"""Files of real libraries, in an environment of their own, are read with the right labels and pixels."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rectok.data.image_decoding import decode_png
from rectok.errors import UserError
from tests.data.sources.small_sources import annotated

pytestmark = pytest.mark.slow
PACKAGES = (
    "datasets==5.2.0", "polars==2.1.0", "duckdb==2.0.1", "pylance==14.0.2", "webdataset==1.0.2", "pyarrow==26.0.1",
    "pillow==13.0.0", "numpy==2.4.6",
)  # fmt: skip
SCRIPT = Path(__file__).with_name("write_with_libraries.py")
NAMES = ("cat", "dog")
ALL = {None: 12}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("writers")
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if uv is None:
        pytest.skip("uv is not installed, so the libraries cannot be had")
    python = folder / "environment/bin/python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "environment")], check=True)
    done = subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", str(python), *PACKAGES], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"the libraries cannot be had: {' '.join(done.stderr.split())[:200]}")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    written = folder / "written"
    done = subprocess.run(
        [python, SCRIPT, written],
        env={**env, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return written


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)


NUMBERS = {pixels(number).tobytes(): number for number in range(12)}


@pytest.mark.parametrize(
    "folder,splits",
    [
        ("to_parquet", ALL),
        ("splits", {"train": 8, "test": 4}),
        ("strings", ALL),
        ("cifar", ALL),
        ("imagefolder", {"train": 8, "test": 4}),
        ("polars", ALL),
        ("duckdb", ALL),
        ("lance", ALL),
    ],
)
def test_names_of_classes(root: Path, folder: str, splits: dict[str | None, int]) -> None:
    images = annotated(root / folder)
    assert Counter(split for _, split, _ in images) == splits
    labels = {NUMBERS[decode_png(content).tobytes()]: label for label, _, content in images}
    assert labels == {number: NAMES[number % 2] for number in range(12)}


def test_webdataset(root: Path) -> None:
    images = annotated(root / "webdataset")
    labels = {NUMBERS[decode_png(content).tobytes()]: (label, split) for label, split, content in images}
    assert labels == {number: (str(number % 2), "train") for number in range(12)}


def test_img2dataset(root: Path) -> None:
    images = annotated(root / "img2dataset", "none")
    assert sorted(NUMBERS[decode_png(content).tobytes()] for *_, content in images) == list(range(12))
    assert {label for label, *_ in images} == {"unlabelled"}


@pytest.mark.parametrize(
    "folder,advice",
    [
        ("save_to_disk", r"save_to_disk of Hugging Face's datasets writes it; .* to_parquet"),
        (
            "pets.lance",
            r"a Lance dataset; .*\.write_dataset\(lance\.dataset\(FOLDER\)\.scanner\(\)\.to_reader\(\), NEW_FOLDER",
        ),
    ],
)
def test_other_tables_say_how_to_write_parquet(root: Path, folder: str, advice: str) -> None:
    with pytest.raises(UserError, match=advice):
        annotated(root / folder)
