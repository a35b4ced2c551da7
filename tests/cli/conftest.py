import shutil
from pathlib import Path

import pytest

from tests.networks import drawn, generator, keep
from tests.train.project import make


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is ready for `rectok dit`, and holds generators that were never trained."""
    folder = tmp_path_factory.mktemp("built")
    params = make(folder, {})
    for stage in ("dit", "autoguidance"):
        keep(stage, drawn(generator(params), 0.3), folder / "data")
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(built, tmp_path / "project"))
