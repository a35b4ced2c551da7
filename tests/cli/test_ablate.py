"""`rectok ablate`: what is only planned, and what is prepared for runs one by one."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.ablation.project import SPEC, build
from tests.cli.project import contents, printed, refused
from tests.command import must

NAMES = "short-s0\nlong-s0\nshort-s1\nlong-s1\n"
PIPELINE = "stages: {made: {cmd: mkdir -p data && echo yes > data/made, outs: [data/made]}}\n"


@pytest.fixture
def project(here: Path) -> Path:
    """An ablation whose rows share a stage that can only be made once DVC is there."""
    build()
    with Path("mine.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump({**SPEC.model_dump(mode="json"), "shared": ["made"]}, file)
    return here


def test_a_plan_makes_nothing(project: Path) -> None:
    before = contents(project)
    assert printed("ablate", "mine.yaml", "--plan") == NAMES
    assert printed("ablate", "new", "--vary", "seed=3,4", "--plan") == "1-s3\n1-s4\n"
    assert contents(project) == before


def test_a_plan_names_a_parameter_that_does_not_fit(project: Path) -> None:
    said = refused(project, "ablate", "new", "--vary", "dit.training.epochs=10,-1", "--plan")
    assert said.startswith("row 2-epochs-1-s0 of ablation new: parameter dit.training.epochs is -1, but must be")


def test_what_is_prepared_are_the_shared_stages_and_a_workspace_for_each_run(project: Path) -> None:
    Path("dvc.yaml").write_text(PIPELINE)
    Path(".dvc").rmdir()
    must(project, "dvc", "init", "--no-scm", "--quiet")
    lines = printed("ablate", "mine.yaml", "--prepare").splitlines()
    assert lines == [f"prepared {name}" for name in NAMES.split()]
    runs = project / "data" / "ablations" / "mine"
    assert (runs / "shared" / "data" / "made").read_text() == "yes\n"
    assert {path.parent.name for path in runs.glob("*/params.yaml")} == {"shared", *NAMES.split()}
