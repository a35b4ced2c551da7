"""DiT^DH: it starts at zero velocity, and its head is conditioned token by token."""

import torch

from rectok.dit.dit_config import DiTConfig, DiTSizes
from rectok.dit.model import DiTDH, drop_labels, sincos_positions, to_grid, to_tokens
from rectok.nn.transformer_config import TransformerConfig


def model(width: int = 16, head: int = 24) -> DiTDH:
    sizes = DiTSizes(
        encoder=TransformerConfig(width=width, depth=2, heads=2), head=TransformerConfig(width=head, depth=1, heads=2)
    )
    return DiTDH(DiTConfig(grid=4, channels=6, classes=3, sizes=sizes))


def test_starts_at_zero_velocity() -> None:
    velocity = model()(torch.randn(2, 6, 4, 4), torch.rand(2), torch.tensor([0, 2]))
    assert torch.equal(velocity, torch.zeros(2, 6, 4, 4))


def test_no_bridge_where_widths_agree() -> None:
    assert isinstance(model(24, 24).bridge, torch.nn.Identity)


def test_depends_on_time_and_label_once_trained() -> None:
    torch.manual_seed(0)
    net = model()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x = torch.randn(1, 6, 4, 4)
    base = net(x, torch.tensor([0.3]), torch.tensor([0]))
    assert not torch.allclose(base, net(x, torch.tensor([0.6]), torch.tensor([0])))
    assert not torch.allclose(base, net(x, torch.tensor([0.3]), torch.tensor([net.no_label])))


def test_grid_and_tokens_are_inverse_and_row_major() -> None:
    tokens = torch.arange(16.0).reshape(1, 16, 1)
    assert torch.equal(to_grid(tokens, 4)[0, 0, 1], torch.tensor([4.0, 5.0, 6.0, 7.0]))
    assert torch.equal(to_tokens(to_grid(tokens, 4)), tokens)


def test_labels_drop_at_their_probability() -> None:
    labels = drop_labels(torch.zeros(10_000, dtype=torch.long), torch.rand(10_000), 0.1, 3)
    assert set(labels.unique().tolist()) == {0, 3}
    assert abs((labels == 3).double().mean().item() - 0.1) < 0.02


def test_positions_tell_tokens_apart() -> None:
    positions = sincos_positions(16, 4)[0]
    assert torch.cdist(positions, positions).fill_diagonal_(1).min() > 0.1


def test_the_encoders_residual_stream_stays_float32_under_autocast() -> None:
    net, dtypes = model(), []
    for block in net.encoder:
        block.register_forward_hook(lambda _block, arguments, output: dtypes.extend((arguments[0].dtype, output.dtype)))
    with torch.autocast("cpu", torch.bfloat16):
        net(torch.randn(2, 6, 4, 4), torch.rand(2), torch.tensor([0, 2]))
    assert dtypes == [torch.float32] * 4
