from pathlib import Path

import pytest
import torch
from torch import nn

from rectok.nn.weights import Undrawn, assign_weights, load_weights, read_weights, save_weights
from tests.errors import user_error


def test_weights_go_round(tmp_path: Path) -> None:
    path, module = tmp_path / "model.safetensors", nn.Linear(3, 2)
    save_weights(path, module.state_dict(), {"made": "here"})
    other = nn.Linear(3, 2)
    load_weights(other, path)
    assert torch.equal(other.weight, module.weight) and torch.equal(other.bias, module.bias)


def test_tensors_that_are_views_are_kept_as_they_look(tmp_path: Path) -> None:
    view = torch.arange(6.0).view(2, 3).T
    save_weights(tmp_path / "w.safetensors", {"view": view})
    assert torch.equal(read_weights(tmp_path / "w.safetensors", "w")["view"], view)


@pytest.mark.parametrize(
    "change,said",
    [
        ({"bias": None}, "file lacks the tensor bias, which this model needs"),
        ({"extra": torch.zeros(1)}, "file holds the tensor extra, which this model does not have"),
        ({"weight": torch.zeros(2, 4)}, r"file: tensor weight has shape \[2, 4\], but this model needs \[2, 3\]"),
    ],
)
def test_loading_is_strict_and_changes_nothing_on_failure(change: dict[str, torch.Tensor | None], said: str) -> None:
    module = nn.Linear(3, 2)
    before = module.weight.detach().clone()
    weights = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), **change}
    with user_error(said):
        assign_weights(module, {key: x for key, x in weights.items() if x is not None}, "file")
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize("content", [b"", b"12345678", b"\xff" * 100])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with user_error(f"{path} is damaged or not a safetensors file"):
        load_weights(nn.Linear(1, 1), path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        load_weights(nn.Linear(1, 1), tmp_path / "none.safetensors")
    assert error.value.filename == str(tmp_path / "none.safetensors")


def test_networks_that_a_file_will_fill_draw_nothing_and_leave_the_random_numbers_as_they_were() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with Undrawn():
        layer = nn.Linear(3, 2)
        nn.init.trunc_normal_(layer.weight)
        table = nn.Embedding(2, 2)
    assert not layer.weight.any() and not layer.bias.any() and not table.weight.any()
    assert layer.weight.requires_grad
    assert torch.equal(torch.rand(3), expected)
    assert nn.Linear(3, 2).weight.any()
