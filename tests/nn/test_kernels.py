"""The kernels of one GPU compute what plain code computes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")


@pytest.mark.slow  # interprets kernels
def test_kernels_of_a_gpu_compute_what_plain_code_computes() -> None:
    command, environment = (sys.executable, "-m", "tests.nn.kernels"), {**os.environ, "TRITON_INTERPRET": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True, text=True)
    errors = json.loads(done.stdout.splitlines()[-1])
    assert 0 < errors.pop("norm") < 1e-5
    assert errors.pop("copy, relative") < 2**-7  # the interpreter cuts bits off where a GPU rounds
    assert all(error < 2e-6 for error in errors.values()) and set(errors) == {"weight", "average"}
