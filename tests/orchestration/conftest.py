"""Throw-away projects: one fresh, one that `dvc repro` has already walked."""

import shutil
from pathlib import Path

import pytest

from tests.orchestration.project import Project, make, make_ours


@pytest.fixture(scope="session")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Made once, to be copied."""
    project = make(tmp_path_factory.mktemp("walked") / "project")
    finished = project.repro()
    assert finished.returncode == 0, finished.stderr
    return project


@pytest.fixture
def project(walked: Project, tmp_path: Path) -> Project:
    """A project in which everything is up to date."""
    root = tmp_path / "project"
    shutil.copytree(walked.root, root)
    return Project(root)


@pytest.fixture
def ours(tmp_path: Path) -> Project:
    """This repository's own pipeline with its default parameters, and nothing made."""
    return make_ours(tmp_path / "ours")
