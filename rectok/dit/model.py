"""DiT^DH (RAE, arXiv 2510.11690): a deep, narrow encoder that conditions a shallow, wide head, token by token.

Shapes: B samples, C latent channels, G grid side, N = G² tokens, W encoder width, V head width.
"""

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rectok import flow
from rectok.artifacts import read_config
from rectok.dit.dit_config import DiTConfig
from rectok.nn.blocks import AdaptiveBlock, Norm, modulate
from rectok.nn.cpu_products import Linear
from rectok.nn.gpu_layout import Patches
from rectok.nn.rotary import Rotary, dit_angles
from rectok.nn.weights import load_weights


class TimeEmbedding(nn.Module):
    """Fixed Gaussian Fourier features of τ, then a two-layer MLP."""

    frequencies: Tensor

    def __init__(self, width: int, count: int = 256) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(count))
        self.hidden = Linear(2 * count, width)
        self.out = Linear(width, width)
        nn.init.normal_(self.hidden.weight, std=0.02)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, time: Tensor) -> Tensor:
        """time [B] in [0, 1] → [B, W]."""
        angles = 2 * torch.pi * time.float()[:, None] * self.frequencies.float()
        features = torch.cat([angles.sin(), angles.cos()], dim=-1).to(self.hidden.weight.dtype)
        return self.out(F.silu(self.hidden(features)))  # type: ignore[no-any-return]


class LabelEmbedding(nn.Embedding):
    """One row per class and a last one that means "no label"."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__(classes + 1, width)
        nn.init.normal_(self.weight, std=0.02)


def sincos_positions(width: int, grid: int) -> Tensor:
    """Fixed 2-D sin-cos embedding [1, grid², width]: columns in the first half of the channels, rows in the second."""
    quarter = width // 4
    frequencies = 10000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(grid, dtype=torch.float64)[:, None] * frequencies
    line = torch.cat([angles.sin(), angles.cos()], dim=-1)  # [grid, width/2]
    columns = line[None].expand(grid, grid, -1)
    rows = line[:, None].expand(grid, grid, -1)
    return torch.cat([columns, rows], dim=-1).reshape(1, grid * grid, width).float()


class FinalLayer(nn.Module):
    """adaLN without a gate, then a Linear to the latent's channels."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.norm = Norm(width)
        self.modulation = Linear(width, 2 * width)
        self.out = Linear(width, channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x and condition [B, N, V] → [B, N, C]."""
        shift, scale = self.modulation(F.silu(condition)).chunk(2, dim=-1)
        return self.out(modulate(self.norm(x), shift, scale))  # type: ignore[no-any-return]


class DiTDH(nn.Module):
    """Predicts the velocity data − noise of a noised latent, or the data, from which the velocity follows.

    Where the configuration asks for it, a second final layer reads the output of an inner encoder block (Internal Guidance, arXiv
    2512.24176). Its input and condition are what the bridge reads of the last block, as in RAEv2 (arXiv 2605.18324).
    """

    positions: Tensor

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        encoder, head = config.sizes.encoder, config.sizes.head
        self.config = config
        self.encoder_patch = Patches(config.channels, encoder.width, 1)
        self.head_patch = Patches(config.channels, head.width, 1)
        self.time = TimeEmbedding(encoder.width)
        self.label = LabelEmbedding(config.classes, encoder.width)
        self.register_buffer("positions", sincos_positions(encoder.width, config.grid), persistent=False)
        self.encoder = nn.ModuleList(AdaptiveBlock(encoder.width, encoder.heads) for _ in range(encoder.depth))
        self.bridge = nn.Identity() if encoder.width == head.width else Linear(encoder.width, head.width)
        self.head = nn.ModuleList(AdaptiveBlock(head.width, head.heads) for _ in range(head.depth))
        self.final = FinalLayer(head.width, config.channels)
        self.internal = FinalLayer(encoder.width, config.channels) if config.internal else None
        self.encoder_rotary = Rotary(dit_angles(encoder.head_width, config.grid))
        self.head_rotary = Rotary(dit_angles(head.head_width, config.grid))
        self._initialise()

    def _initialise(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                if not name.startswith("time."):
                    nn.init.xavier_uniform_(module.weight.view(module.weight.shape[0], -1))
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
            if name.endswith("modulation") or name in ("final.out", "internal.out"):
                nn.init.zeros_(module.weight)

    @property
    def no_label(self) -> int:
        """The label that means "unconditional"."""
        return self.config.classes

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """x [B, C, G, G], time [B] in [0, 1] (1 is data), label [B] → velocity [B, C, G, G]."""
        return self.velocity(self.decode(x, self.encode(x, time, label)), x, time)

    def both(self, x: Tensor, time: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity, and the one that the head of the inner block predicts in the same pass."""
        velocity, internal, _ = self.predictions(x, time, label)
        assert internal is not None, "this network has no head on an inner block"
        return velocity, internal

    def predictions(self, x: Tensor, time: Tensor, label: Tensor, tap: int = 0) -> tuple[Tensor, Tensor | None, Tensor]:
        """`both`, with None where there is no inner head, and the tokens [B, N, W] behind block number `tap`, from one pass."""
        emb, s, taps = self._encoded(x, time, label, (self.config.internal, tap))
        velocity = self.velocity(self.decode(x, self.bridge(F.silu(emb + s))), x, time)
        if self.internal is None:
            return velocity, None, taps[tap]
        state = F.silu(emb + taps[self.config.internal])
        inner = to_grid(self.internal(state, state), self.config.grid)
        return velocity, self.velocity(inner, x, time), taps[tap]

    def encode(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """The condition [B, N, V] of the head, from the arguments of `forward`; it changes slowly with time."""
        emb, s, _ = self._encoded(x, time, label)
        return self.bridge(F.silu(emb + s))  # type: ignore[no-any-return]

    def _encoded(
        self, x: Tensor, time: Tensor, label: Tensor, kept: Collection[int] = ()
    ) -> tuple[Tensor, Tensor, dict[int, Tensor]]:
        """The time's embedding [B, 1, W], tokens [B, N, W] behind the last block, and behind those `kept`; 0 is before them."""
        emb = self.time(time)  # [B, W]
        condition = F.silu(emb + self.label(label))[:, None]  # [B, 1, W]
        s = self.encoder_patch(x) + self.positions  # [B, N, W]
        taps, tables = {0: s}, self.encoder_rotary()
        for number, block in enumerate(self.encoder, 1):
            s = block(s, condition, tables)
            if number in kept:
                taps[number] = s
        return emb[:, None], s, taps

    def decode(self, x: Tensor, condition: Tensor) -> Tensor:
        """What is predicted [B, C, G, G] at x [B, C, G, G] under the encoder's condition [B, N, V]."""
        h = self.head_patch(x)  # [B, N, V]
        tables = self.head_rotary()
        for block in self.head:
            h = block(h, condition, tables)
        prediction: Tensor = self.final(h, condition)  # [B, N, C]
        return to_grid(prediction, self.config.grid)

    def velocity(self, prediction: Tensor, x: Tensor, time: Tensor) -> Tensor:
        """The velocity that a `prediction` at x means at time [B]; all [B, C, G, G]."""
        return prediction if self.config.prediction == "v" else flow.velocity_to(prediction.float(), x, time)


def to_grid(tokens: Tensor, grid: int) -> Tensor:
    """[B, N, C] → [B, C, G, G]."""
    batch, _, channels = tokens.shape
    return tokens.transpose(1, 2).reshape(batch, channels, grid, grid)


def to_tokens(latent: Tensor) -> Tensor:
    """[B, C, G, G] → [B, N, C]."""
    return latent.flatten(2).transpose(1, 2)


def drop_labels(labels: Tensor, uniform: Tensor, probability: float, no_label: int) -> Tensor:
    """Replace labels [B] by `no_label` where uniform [B] ~ U(0, 1) falls below `probability`."""
    return torch.where(uniform < probability, no_label, labels)


def load_dit(folder: Path) -> DiTDH:
    """The generator kept in `folder`, frozen and in eval mode."""
    model = DiTDH(read_config(folder / "config.json", DiTConfig))
    load_weights(model, folder / "model.safetensors")
    return model.eval().requires_grad_(False)
