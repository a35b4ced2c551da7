import torch
from torch.nn import functional as F

from rectok.nn.blocks import NORM_EPS, AdaptiveBlock, Attention, Block, MlpBlock, Norm, SwiGLU, modulate
from rectok.nn.rotary import Rotary, dit_angles

GRID, WIDTH, HEADS = 2, 16, 2
TABLES = Rotary(dit_angles(WIDTH // HEADS, GRID))()
STILL = (torch.ones(1, 1, GRID**2, WIDTH // HEADS), torch.zeros(1, 1, GRID**2, WIDTH // HEADS))


def tokens() -> torch.Tensor:
    return torch.randn(3, GRID**2, WIDTH, generator=torch.Generator().manual_seed(0))


def test_attention_is_a_softmax_over_all_tokens() -> None:
    attention, x = Attention(WIDTH, HEADS), tokens()
    q, k, v = (part.view(3, 4, HEADS, 8).transpose(1, 2) for part in attention.qkv(x).chunk(3, -1))
    shares = (q @ k.transpose(-1, -2) / 8**0.5).softmax(-1)
    expected = attention.out((shares @ v).transpose(1, 2).reshape(3, 4, WIDTH))
    assert torch.allclose(attention(x, STILL), expected, atol=1e-6)


def test_attention_without_positions_does_not_know_the_order() -> None:
    attention, x = Attention(WIDTH, HEADS), tokens()
    order = torch.tensor([2, 0, 3, 1])
    assert torch.allclose(attention(x[:, order], STILL), attention(x, STILL)[:, order], atol=1e-6)
    assert not torch.allclose(attention(x[:, order], TABLES), attention(x, TABLES)[:, order], atol=1e-3)


def test_swiglu_is_its_formula() -> None:
    mlp, x = SwiGLU(WIDTH), tokens()
    gate, up = (x @ mlp.gate_up.weight.T + mlp.gate_up.bias).chunk(2, -1)
    assert gate.shape[-1] == int(WIDTH * 8 / 3)
    assert torch.allclose(mlp(x), mlp.down(gate * gate.sigmoid() * up), atol=1e-6)


def test_a_block_adds_two_branches() -> None:
    block, x = Block(WIDTH, HEADS), tokens()
    middle = x + block.attention(block.attention_norm(x), TABLES)
    assert torch.equal(block(x, TABLES), middle + block.mlp(block.mlp_norm(middle)))


def test_an_mlp_block_sees_each_token_alone() -> None:
    block, x = MlpBlock(WIDTH), tokens()
    assert torch.allclose(block(x, TABLES)[:, :1], block(x[:, :1], TABLES), atol=1e-6)


def test_a_closed_gate_makes_the_adaptive_block_the_identity() -> None:
    block, x = AdaptiveBlock(WIDTH, HEADS), tokens()
    torch.nn.init.zeros_(block.modulation.weight)
    torch.nn.init.zeros_(block.modulation.bias)
    assert torch.equal(block(x, torch.randn(3, 1, WIDTH), TABLES), x)


def test_a_condition_may_be_of_the_image_or_of_each_token() -> None:
    block, x = AdaptiveBlock(WIDTH, HEADS), tokens()
    condition = torch.randn(3, 1, WIDTH)
    per_token = condition.expand(3, GRID**2, WIDTH)
    assert torch.allclose(block(x, condition, TABLES), block(x, per_token, TABLES), atol=1e-6)


def test_the_adaptive_block_with_open_gates_is_a_block() -> None:
    block, plain, x = AdaptiveBlock(WIDTH, HEADS), Block(WIDTH, HEADS), tokens()
    plain.load_state_dict({k: v for k, v in block.state_dict().items() if not k.startswith("modulation")})
    torch.nn.init.zeros_(block.modulation.weight)
    gates = torch.zeros(6, WIDTH)
    gates[2], gates[5] = 1, 1
    block.modulation.bias.data = gates.flatten()
    assert torch.allclose(block(x, torch.randn(3, 1, WIDTH), TABLES), plain(x, TABLES), atol=1e-6)


def test_modulate_scales_around_one() -> None:
    x = tokens()
    assert torch.equal(modulate(x, torch.zeros(1), torch.zeros(1)), x)
    assert torch.allclose(modulate(x, torch.ones(1), torch.ones(1)), 2 * x + 1)
    assert F.mse_loss(modulate(x, torch.ones(1), -torch.ones(1)), torch.ones_like(x)) == 0


def test_norms_stay_in_the_precision_of_what_they_norm() -> None:
    norm = Norm(8)
    torch.nn.init.uniform_(norm.weight)
    x = torch.randn(4, 8)
    assert torch.equal(norm(x), F.rms_norm(x, (8,), norm.weight, NORM_EPS))
    low = norm(x.bfloat16())
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), norm(x), rtol=0.03, atol=0.03)
