"""The referee: tensors and key lists of the released implementation, where they are at hand."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

REFERENCE = Path(__file__).parents[2] / "shared" / "reference"
needs_reference = pytest.mark.skipif(
    not REFERENCE.exists(), reason="the released implementation's tensors are not here"
)


def tensors(name: str) -> dict[str, torch.Tensor]:
    return load_file(REFERENCE / "parity" / f"{name}.safetensors")


def record(name: str) -> Any:
    return json.loads((REFERENCE / name).read_text())


def assert_parity(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Largest absolute error ≤ 1e-4 and relative L2 error ≤ 1e-5, in float32."""
    assert ours.shape == theirs.shape
    error = (ours - theirs).double()
    assert error.abs().max() <= 1e-4
    assert error.norm() <= 1e-5 * theirs.double().norm()
