"""A representation autoencoder (RAE, arXiv 2510.11690): the frozen teacher encodes, and a pixel decoder is trained.

The latent is the sum of the teacher's last K layers (RAEv2, arXiv 2605.18324). It has the teacher's width D, and no variance.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rectok.nn.weights import assign_weights
from rectok.teacher.network import VisionNetwork, on_grid
from rectok.tokenizer.model import LOGVAR_RANGE, PixelDecoder, Tokenizer, init_linear
from rectok.tokenizer.tokenizer_config import TeacherEncoderConfig, TokenizerConfig

EPSILON = 1e-6


class TeacherEncoder(nn.Module):
    """The teacher without its classifier. It stays frozen and in eval mode."""

    def __init__(self, config: TeacherEncoderConfig, grid: int) -> None:
        super().__init__()
        self.network = VisionNetwork(config.network, 0).frozen()
        self.layers, self.grid = config.layers, grid
        self.network.require_layers(config.layers)

    def forward(self, images: Tensor) -> Tensor:
        """images [B, 3, H, H] in [−1, 1] → features [B, N, D]."""
        maps = self.network.last_layers(images / 2 + 0.5, self.layers)
        return summed([on_grid(x, self.grid) for x in maps])

    def take(self, teacher: VisionNetwork) -> None:
        """Copy the weights of `teacher`, all but those of its classifier."""
        names, weights = self.network.trunk.state_dict(), teacher.trunk.state_dict()
        kept = {name: weights[name] for name in names if name in weights}
        assign_weights(self.network.trunk, kept, "the teacher")

    def train(self, mode: bool = True) -> "TeacherEncoder":
        """Leave it in eval mode."""
        return super().train(False)


class RAETokenizer(Tokenizer):
    """The teacher as encoder, and RecTok's pixel decoder."""

    encoder: TeacherEncoder

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config)
        assert config.teacher is not None
        self.encoder = TeacherEncoder(config.teacher, config.grid)
        self.decoder = PixelDecoder(config)
        self.decoder.apply(init_linear)

    def encode(self, images: Tensor) -> Tensor:
        """images [B, 3, H, H] in [−1, 1] → moments [B, N, 2C] whose log-variance is the smallest there is."""
        features = self.encoder(images)
        return torch.cat([features, torch.full_like(features, LOGVAR_RANGE[0])], dim=-1)

    def decode(self, z: Tensor) -> Tensor:
        """z [B, N, C] → images [B, 3, H, H]."""
        return self.decoder(z)  # type: ignore[no-any-return]


def summed(layers: Sequence[Tensor]) -> Tensor:
    """The sum of normalised layers [B, N, D], normalised once more, so that noise means the same for any number of them.

    To normalise is a LayerNorm without learnt weights, which every token leaves with mean 0 and variance 1 over channels.
    """
    return _normalised(torch.stack([_normalised(x.float()) for x in layers]).sum(0))


def _normalised(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=EPSILON)
