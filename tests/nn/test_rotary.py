"""Rotary tables: the generator's is a true rotation of positions, the tokenizer's is not and must stay so."""

import torch

from rectok.nn.rotary import Rotary, dit_angles, rotate, tokenizer_angles


def test_dit_attention_depends_on_relative_position_only() -> None:
    grid, d = 5, 16
    angles = dit_angles(d, grid).double()
    q, k = torch.randn(d, dtype=torch.float64), torch.randn(d, dtype=torch.float64)

    def score(a: int, b: int) -> torch.Tensor:
        turned = [rotate(x[None], angles[i].cos(), angles[i].sin()) for x, i in ((q, a), (k, b))]
        return (turned[0] * turned[1]).sum()

    def at(row: int, column: int) -> int:
        return row * grid + column

    assert torch.isclose(score(at(0, 0), at(1, 2)), score(at(2, 1), at(3, 3)))
    assert not torch.isclose(score(at(0, 0), at(1, 2)), score(at(0, 0), at(2, 1)))


def test_dit_rotation_keeps_length() -> None:
    angles = dit_angles(8, 3)
    x = torch.randn(1, 1, 9, 8)
    assert torch.allclose(rotate(x, angles.cos(), angles.sin()).norm(dim=-1), x.norm(dim=-1), atol=1e-5)


def test_tokenizer_table_gives_each_channel_its_own_angle() -> None:
    grid, d = 3, 16
    angles = tokenizer_angles(d, grid).reshape(grid, grid, d)
    assert torch.allclose(angles[:, 0, : d // 2], angles[:, 2, : d // 2])  # rows in the first half
    assert torch.allclose(angles[0, :, d // 2 :], angles[2, :, d // 2 :])  # columns in the second
    last = angles[2, 2, : d // 4] / (2 * torch.pi)
    assert torch.allclose(
        last, torch.logspace(torch.log10(torch.tensor(7.0)).item(), torch.log10(torch.tensor(7e-4)).item(), d // 4)
    )
    assert not torch.isclose(angles[1, 1, 0], angles[1, 1, 1])


def test_visible_tokens_get_their_own_rows() -> None:
    rotary = Rotary(dit_angles(8, 3))
    visible = torch.tensor([[4, 0], [8, 2]])
    cos, _ = rotary(visible)
    assert torch.equal(cos[1, 0, 0], rotary.cos[8])
