from pathlib import Path

import pytest

from tests.command import must


@pytest.fixture(autouse=True)
def folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, without credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(here / "no-credentials"))
    return here


@pytest.fixture
def repository(folder: Path) -> Path:
    """The folder as a DVC project."""
    for command in (("git", "init", "-q"), ("dvc", "init", "-q")):
        must(folder, *command)
    return folder
