from pathlib import Path

import pytest

from rectok.ablation.spec import cells, load_spec
from rectok.ablation.sweep import read_sweep, sweep_file, write_sweep
from rectok.ablation.workspace import prepare
from tests.ablation.project import build
from tests.errors import user_error

pytestmark = pytest.mark.usefixtures("here")


def test_a_sweep_is_every_combination_and_an_ablation_like_any_other() -> None:
    vary = ["dit.training.epochs=10,20", "generation.guidance.kind=cfg,autoguidance", "seed=3,4"]
    spec = read_sweep("mine", vary, 0.5, [])
    assert not Path("data").exists()
    write_sweep("mine", spec)
    assert load_spec(str(sweep_file("mine"))) == spec
    assert [row.set for row in spec.rows] == [
        {"dit.training.epochs": epochs, "generation.guidance.kind": kind}
        for epochs in (10, 20)
        for kind in ("cfg", "autoguidance")
    ]
    assert (spec.seeds, spec.columns[-1], spec.axis) == ((3, 4), "probe@0.5", "")
    assert [cell.name for cell in cells(spec)][:2] == ["1-epochs10-kindcfg-s3", "2-epochs10-kindautoguidance-s3"]


def test_one_parameter_of_numbers_is_the_axis_of_the_plot() -> None:
    spec = read_sweep("mine", ["dit.training.betas=[0.9, 0.95],[0.8, 0.9]"], 0.5, ["dit"])
    assert [row.set["dit.training.betas"] for row in spec.rows] == [[0.9, 0.95], [0.8, 0.9]]
    assert (spec.rows[0].x, spec.axis, spec.targets) == (None, "", ("dit",))
    spec = read_sweep("mine", ["dit.training.clip=0.5,1"], 0.5, [])
    assert ([row.x for row in spec.rows], spec.axis) == ([0.5, 1.0], "dit.training.clip")


@pytest.mark.parametrize(
    "name, vary, said",
    [
        ("mine", "dit.training.epochs", "'dit.training.epochs' is no setting to vary"),
        ("mine", "seed=", "'seed=' is no setting to vary"),
        ("mine", "seed=[1", "is no setting to vary"),
        ("mine", "seed=a", "ablation mine: seeds.0 is 'a', but must be a valid integer"),
        ("method", "seed=1", "'method' cannot name a sweep"),
        ("a/b", "seed=1", "'a/b' cannot name a sweep"),
    ],
)
def test_what_is_no_sweep_is_named(here: Path, name: str, vary: str, said: str) -> None:
    with user_error(r"cannot name|no setting|ablation mine") as caught:
        read_sweep(name, [vary], 0.5, [])
    assert said in str(caught.value)
    assert not (here / "data").exists()


def test_a_parameter_that_does_not_exist_is_named_before_anything_runs() -> None:
    build()
    spec = read_sweep("mine", ["dit.epoch=1"], 0.5, [])
    with user_error(r"unknown parameter dit\.epoch"):
        prepare("mine", spec, cells(spec)[0])
