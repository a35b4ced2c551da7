"""Throw-away projects: one fresh, one that `dvc repro` has already walked."""

import shutil
from pathlib import Path

import pytest

from tests.orchestration.project import Project, make

REPOSITORY = Path(__file__).parents[2]


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
    root = tmp_path / "ours"
    root.mkdir()
    shutil.copy(REPOSITORY / "dvc.yaml", root)
    shutil.copytree(REPOSITORY / "rectok" / "stages", root / "rectok" / "stages")
    shutil.copy(REPOSITORY / "rectok" / "params" / "presets" / "digits.yaml", root / "params.yaml")
    project = Project(root)
    for command in (("git", "init", "-q"), ("dvc", "init", "-q")):
        assert project.run(*command).returncode == 0
    return project
