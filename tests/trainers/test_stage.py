from pathlib import Path

from rectok import artifacts
from rectok.trainers.stage import remove_state
from tests.project import write_params


def test_a_run_that_ends_drops_its_own_state_and_copies_alone(here: Path) -> None:
    params = write_params(here, {"storage.checkpoints": "copies"})
    mine = artifacts.state_dir("dit") / "mine"
    copies = [here / "copies" / name for name in ("dit/mine", "dit/other", "autoguidance/mine")]
    for folder in (mine, *copies):
        folder.mkdir(parents=True)
    remove_state("dit", params)
    assert not mine.exists()
    assert [folder.exists() for folder in copies] == [False, True, True]
