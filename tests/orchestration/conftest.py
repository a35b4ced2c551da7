"""Throw-away projects: one fresh, one that `dvc repro` has already walked."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from tests.orchestration.project import Project, make, make_ours


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Nothing has run in it. Made once, to be copied."""
    return make(tmp_path_factory.mktemp("fresh") / "project")


@pytest.fixture(scope="session")
def walked(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Made once, to be copied."""
    project = copied(fresh, tmp_path_factory.mktemp("walked"))
    project.walk()
    return project


@pytest.fixture
def project(walked: Project, tmp_path: Path) -> Project:
    """A project in which everything is up to date."""
    return copied(walked, tmp_path)


@pytest.fixture(scope="session")
def ours_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Made once, to be copied."""
    return make_ours(tmp_path_factory.mktemp("ours") / "project")


@pytest.fixture
def ours(ours_once: Project, tmp_path: Path) -> Project:
    """This repository's own pipeline with its default parameters, and nothing made."""
    return copied(ours_once, tmp_path)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    (tmp_path / "instance").mkdir()
    with DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as instance:
        yield instance


def copied(project: Project, folder: Path) -> Project:
    """The same project in another folder."""
    return Project(Path(shutil.copytree(project.root, folder / "project")))
