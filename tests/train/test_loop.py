"""What the training loop does beside training; that it trains and resumes is in test_resume."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from rectok.train import loop


@pytest.mark.slow  # imports the compiler
@pytest.mark.filterwarnings("default")  # the compiler's own
def test_a_picture_of_a_training_compiles_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PREVIEW_EVERY", 0.0)
    compiled: list[int] = []

    def backend(graph: Any, inputs: list[torch.Tensor]) -> Any:
        compiled.append(len(inputs))
        return graph.forward

    network = nn.Linear(2, 2)
    network.compile(backend=backend)
    network(torch.ones(3, 2))
    assert len(compiled) == 1

    def draw() -> Path:
        network(torch.ones(5, 2))
        return Path("picture.png")

    shown: list[Path] = []
    learner: Any = SimpleNamespace(engine=network, ema=SimpleNamespace(swapped=nullcontext), rest=lambda: None)
    loop._Previews(draw).show(learner, SimpleNamespace(show=shown.append))  # type: ignore[arg-type]
    assert shown == [Path("picture.png")]
    assert len(compiled) == 1
    network(torch.ones(3, 2))
    assert len(compiled) == 1
