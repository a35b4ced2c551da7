"""Options of sbatch in params.yaml."""

from pathlib import Path

import pytest

from rectok.params import load
from tests.errors import user_error
from tests.project import write_params


@pytest.mark.parametrize("option", ["--partition=gpu", "--gpus=1", "-Aproject", "--exclusive"])
def test_options_of_sbatch_are_taken(here: Path, option: str) -> None:
    write_params(here, {"machine.slurm": {"cpu": [option], "gpu": [], "tasks": 2, "retries": 1}})
    assert load().machine.slurm.cpu == (option,)


@pytest.mark.parametrize("option", ["gpu", "script.sh", "--job-name=mine", "--array=0-3", "-o", "--wrap=ls"])
def test_options_that_would_lose_the_job_are_refused(here: Path, option: str) -> None:
    with user_error(rf"machine\.slurm\.gpu holds '{option}'; it must hold options of sbatch such as --partition=gpu"):
        write_params(here, {"machine.slurm": {"cpu": [], "gpu": [option], "tasks": 2, "retries": 1}})
