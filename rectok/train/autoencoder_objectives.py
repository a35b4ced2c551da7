"""What tokenizers of the other kinds minimise: a plain VAE, and the decoder of a representation autoencoder."""

import torch

from rectok.data.dataset import ImageBatch
from rectok.losses.kl import kl_divergence
from rectok.losses.loss_config import TokenizerLossConfig
from rectok.tokenizer.model import Tokenizer, from_bytes, sample_posterior, split_moments
from rectok.tokenizer.rae import RAETokenizer
from rectok.train.objectives import FrozenNetworks, ImageLosses, ImageObjective, LossOutput, unmask, with_decoder_alone
from rectok.train.step_random import StepRandom


class VAEObjective(ImageObjective):
    """Image losses of the decoded posterior sample, and the posterior's KL divergence from N(0, 1) (arXiv 1312.6114)."""

    def __init__(self, tokenizer: Tokenizer, losses: TokenizerLossConfig, frozen: FrozenNetworks) -> None:
        super().__init__()
        self.tokenizer, self.kl = tokenizer, losses.kl
        unmask(tokenizer)
        self.image_losses = ImageLosses(losses, frozen)

    def forward(self, batch: ImageBatch, draws: StepRandom, progress: float) -> LossOutput:
        """Loss, its parts, and reconstructions [B, 3, H, H] in [−1, 1]."""
        images, config = from_bytes(batch.image), self.tokenizer.config
        moments = self.tokenizer.encode(images).float()
        fake = self.tokenizer.decode(sample_posterior(moments, draws.normal(config.tokens, config.sizes.channels)))
        total, parts = self.image_losses(fake, images, progress)
        parts["kl"] = kl_divergence(moments).mean()
        return total + self.kl * parts["kl"], parts, fake


class RAEObjective(ImageObjective):
    """Image losses of what is decoded from noised features (RAE, arXiv 2510.11690, noise-augmented decoding).

    The noise of an image is N(0, σ²) with a σ of its own, |N(0, τ²)|; `noise` is τ. Only the pixel decoder is trained.
    """

    def __init__(
        self, tokenizer: RAETokenizer, losses: TokenizerLossConfig, noise: float, frozen: FrozenNetworks
    ) -> None:
        super().__init__()
        self.tokenizer, self.noise = with_decoder_alone(tokenizer), noise
        self.image_losses = ImageLosses(losses, frozen)

    def forward(self, batch: ImageBatch, draws: StepRandom, progress: float) -> LossOutput:
        """Loss, its parts, and reconstructions [B, 3, H, H] in [−1, 1]."""
        images = from_bytes(batch.image)
        with torch.no_grad():
            features, _ = split_moments(self.tokenizer.encode(images).float())
        sigma = self.noise * draws.normal(1, 1).abs()  # [B, 1, 1]
        fake = self.tokenizer.decode(features + sigma * draws.normal(*features.shape[1:]))
        total, parts = self.image_losses(fake, images, progress)
        return total, parts, fake
