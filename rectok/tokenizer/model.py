"""What a tokenizer is, and RecTok's (arXiv 2512.13421, section 3): ViT encoder, ViT pixel decoder, light semantic decoder.

Shapes: B images, H side, p patch, G = H/p, N = G² tokens, C latent channels, W width, D teacher width.
"""

import torch
from torch import Tensor, nn

from rectok.nn.blocks import Block, MlpBlock, Norm
from rectok.nn.cpu_products import Linear
from rectok.nn.gpu_layout import Patches, Pixels
from rectok.nn.rotary import Rotary, tokenizer_angles
from rectok.nn.transformer_config import TransformerConfig
from rectok.tokenizer.masking import Mask
from rectok.tokenizer.tokenizer_config import SemanticDecoderConfig, TokenizerConfig

LOGVAR_RANGE = (-30.0, 20.0)


class Trunk(nn.Module):
    """Position embedding, norm, blocks, norm: what the encoder and both decoders share."""

    def __init__(self, config: TransformerConfig, grid: int, attention: bool = True) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.empty(1, grid * grid, config.width))
        self.norm_in = Norm(config.width)
        width, heads = config.width, config.heads
        self.blocks = nn.ModuleList(Block(width, heads) if attention else MlpBlock(width) for _ in range(config.depth))
        self.norm_out = Norm(config.width)
        self.rotary = Rotary(tokenizer_angles(config.head_width, grid))
        nn.init.normal_(self.position, std=config.width**-0.5)

    def forward(self, x: Tensor, mask: Mask | None = None) -> Tensor:
        """x [B, N, W] → [B, N, W], or [B, n, W] of the visible tokens where a mask is given."""
        x = x + self.position
        if mask is not None:
            x = mask.gather(x)
        x = self.norm_in(x)
        tables = self.rotary(mask.visible if mask is not None else None)
        for block in self.blocks:
            x = block(x, tables)
        return self.norm_out(x)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Images to the mean and log-variance of every visible token."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        sizes = config.sizes
        self.patch = Patches(3, sizes.encoder.width, sizes.patch)
        self.trunk = Trunk(sizes.encoder, config.grid)
        self.moments = Linear(sizes.encoder.width, 2 * sizes.channels)

    def forward(self, images: Tensor, mask: Mask | None = None) -> Tensor:
        """images [B, 3, H, H] in [−1, 1] → moments [B, N or n, 2C]."""
        return self.moments(self.trunk(self.patch(images), mask))  # type: ignore[no-any-return]


class PixelDecoder(nn.Module):
    """Latent tokens back to pixels."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        width, patch = config.sizes.decoder.width, config.sizes.patch
        self.grid, self.patch = config.grid, patch
        self.embed = Linear(config.sizes.channels, width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        self.trunk = Trunk(config.sizes.decoder, config.grid)
        self.pixels = Pixels(width, patch * patch * 3)
        self.smooth = nn.Conv2d(3, 3, 3, padding=1)
        nn.init.normal_(self.mask_token, std=width**-0.5)

    def forward(self, z: Tensor, mask: Mask | None = None) -> Tensor:
        """z [B, N or n, C] → images [B, 3, H, H], about [−1, 1]."""
        x = self.embed(z)
        if mask is not None:
            x = mask.scatter(x, self.mask_token)
        x = self.trunk(x)  # [B, N, W]
        x = x.unflatten(1, (self.grid, self.grid))  # [B, G, G, W]
        x = self.pixels(x).unflatten(1, (self.patch, self.patch, 3))  # [B, p, p, 3, G, G]
        x = x.permute(0, 3, 4, 1, 5, 2).flatten(4, 5).flatten(2, 3)  # [B, 3, G·p, G·p]
        return self.smooth(x)  # type: ignore[no-any-return]


class SemanticDecoder(nn.Module):
    """Predicts the teacher's features of the clean, unmasked image from the noised and masked latent."""

    def __init__(self, config: SemanticDecoderConfig, channels: int, grid: int, teacher_width: int) -> None:
        super().__init__()
        width = config.transformer.width
        self.embed = Linear(channels, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.trunk = Trunk(config.transformer, grid, attention=config.kind == "transformer")
        self.out = Linear(width, teacher_width)

    def penultimate(self, x: Tensor, mask: Mask | None = None) -> Tensor:
        """x [B, N or n, C] → [B, N, W], the features that the linear probe reads."""
        x = self.embed(x)
        if mask is not None:
            x = mask.scatter(x, self.mask_token)
        return self.trunk(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor, mask: Mask | None = None) -> Tensor:
        """x [B, N or n, C] → features [B, N, D]."""
        return self.out(self.penultimate(x, mask))  # type: ignore[no-any-return]


class Tokenizer(nn.Module):
    """Images to latent tokens and back: all that later stages know of a tokenizer, whatever its kind.

    `semantic` predicts the teacher's features from latents; it is None where nothing learnt to.
    """

    encoder: nn.Module
    decoder: nn.Module

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.semantic: SemanticDecoder | None = None

    def encode(self, images: Tensor) -> Tensor:
        """images [B, 3, H, H] in [−1, 1] → moments [B, N, 2C]."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """z [B, N, C] → images [B, 3, H, H], about [−1, 1]."""
        raise NotImplementedError


class ViTTokenizer(Tokenizer):
    """RecTok's encoder, pixel decoder and semantic decoder."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        self.decoder = PixelDecoder(config)
        self.semantic = SemanticDecoder(config.sizes.semantic, config.sizes.channels, config.grid, config.teacher_width)
        self.apply(init_linear)

    def encode(self, images: Tensor, mask: Mask | None = None) -> Tensor:
        """images [B, 3, H, H] in [−1, 1] → moments [B, N or n, 2C]."""
        return self.encoder(images, mask)  # type: ignore[no-any-return]

    def decode(self, z: Tensor, mask: Mask | None = None) -> Tensor:
        """z [B, N or n, C] → images [B, 3, H, H]."""
        return self.decoder(z, mask)  # type: ignore[no-any-return]


def split_moments(moments: Tensor) -> tuple[Tensor, Tensor]:
    """[..., 2C] → mean [..., C] and log-variance [..., C], the latter clamped to its published range."""
    mean, logvar = moments.chunk(2, dim=-1)
    return mean, logvar.clamp(*LOGVAR_RANGE)


def sample_posterior(moments: Tensor, normal: Tensor) -> Tensor:
    """z = mean + std·normal, for moments [..., 2C] and normal [..., C] ~ N(0, 1)."""
    mean, logvar = split_moments(moments)
    return mean + torch.exp(0.5 * logvar) * normal


def to_unit(images: Tensor) -> Tensor:
    """[−1, 1] → [0, 1], clipped."""
    return (images / 2 + 0.5).clamp(0, 1)


def from_bytes(images: Tensor) -> Tensor:
    """uint8 [B, 3, H, W] → float [−1, 1]."""
    return images.float() / 127.5 - 1


def init_linear(module: nn.Module) -> None:
    """Truncated normal (std 0.02) weights and zero biases, for Linear and convolution layers; use with Module.apply."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
