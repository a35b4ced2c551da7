"""A plain VAE (arXiv 1312.6114) with RecTok's encoder and pixel decoder: no teacher, no noise along a flow, no mask."""

from torch import Tensor

from rectok.tokenizer.model import Encoder, PixelDecoder, Tokenizer, init_linear
from rectok.tokenizer.tokenizer_config import TokenizerConfig


class VAETokenizer(Tokenizer):
    """Encoder and pixel decoder."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        self.decoder = PixelDecoder(config)
        self.apply(init_linear)

    def encode(self, images: Tensor) -> Tensor:
        """images [B, 3, H, H] in [−1, 1] → moments [B, N, 2C]."""
        return self.encoder(images)  # type: ignore[no-any-return]

    def decode(self, z: Tensor) -> Tensor:
        """z [B, N, C] → images [B, 3, H, H]."""
        return self.decoder(z)  # type: ignore[no-any-return]
