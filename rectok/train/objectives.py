"""What each network minimises, as modules that DeepSpeed can wrap.

Frozen helpers (teacher, perceptual network, adversary) are kept out of the module tree: they are neither trained nor saved.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rectok import flow
from rectok.data.dataset import ImageBatch, LatentBatch
from rectok.dit.model import DiTDH, drop_labels, to_grid
from rectok.losses.kl import kl_divergence
from rectok.losses.loss_config import DecoderLossConfig, TokenizerLossConfig
from rectok.losses.semantic import semantic_loss, token_weight
from rectok.nn.blocks import compile_blocks
from rectok.nn.cpu_products import Linear
from rectok.tokenizer.masking import Mask, random_mask, visible_tokens
from rectok.tokenizer.model import PixelDecoder, Tokenizer, ViTTokenizer, from_bytes, sample_posterior
from rectok.tokenizer.tokenizer_config import FlowConfig, MaskingConfig
from rectok.train.adversary import Adversary
from rectok.train.step_random import StepRandom

Network = Tokenizer | DiTDH
PROJECTOR = 2048
"""Hidden width of the MLP that aligns a generator with the teacher, as published."""
LossOutput = tuple[Tensor, dict[str, Tensor], Tensor | None]


@runtime_checkable
class Compilable(Protocol):
    """A network that knows which of its parts are worth compiling."""

    def compile_parts(self) -> None:
        """torch.compile them in place."""


@dataclass(frozen=True)
class FrozenNetworks:
    """Networks that help a tokenizer learn: `perceptual` compares images in [0, 1]; `teach` maps them to features."""

    perceptual: Callable[[Tensor, Tensor], Tensor] | None
    teach: Callable[[Tensor], Tensor] | None
    adversary: Adversary | None


class Objective(nn.Module):
    """What a network minimises: `objective(batch, draws, progress)` → (loss, its parts, reconstructions or None)."""

    @property
    def network(self) -> Network:
        """The network that is trained and saved."""
        raise AttributeError(f"{type(self).__name__} names no network")

    @property
    def adversary(self) -> Adversary | None:
        """The network that learns against it, if any."""
        return None

    def compile_parts(self) -> None:
        """torch.compile in place all that takes long in a step."""
        compile_blocks(self)

    def kind(self, draws: StepRandom, progress: float) -> Hashable:
        """What decides which kernels a step runs: two steps of one kind differ in numbers alone."""
        return None


class ImageLosses:
    """Pixel, perceptual and adversarial terms, which the tokenizer and its decoder finetuning share."""

    def __init__(self, losses: TokenizerLossConfig | DecoderLossConfig, frozen: FrozenNetworks) -> None:
        self.losses, self.frozen = losses, frozen

    def __call__(self, fake: Tensor, real: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """fake and real [B, 3, H, H] in [−1, 1] → the weighted sum and its parts."""
        fake01, real01 = fake / 2 + 0.5, real / 2 + 0.5
        parts = {"pixel": F.mse_loss(fake01, real01)}
        total = self.losses.pixel * parts["pixel"]
        if self.frozen.perceptual is not None:
            parts["perceptual"] = self.frozen.perceptual(fake01, real01)
            total = total + self.losses.perceptual.weight * parts["perceptual"]
        if self.frozen.adversary is not None and self.frozen.adversary.active(progress):
            parts["adversarial"] = self.frozen.adversary.generator_loss_of(fake)
            total = total + self.losses.adversary.weight * parts["adversarial"]
        return total, parts


class ImageObjective(Objective):
    """An objective of a tokenizer on images."""

    tokenizer: Tokenizer
    image_losses: ImageLosses

    @property
    def network(self) -> Tokenizer:
        """The tokenizer."""
        return self.tokenizer

    @property
    def adversary(self) -> Adversary | None:
        """The adversary of its reconstructions, if any."""
        return self.image_losses.frozen.adversary

    def kind(self, draws: StepRandom, progress: float) -> Hashable:
        """Whether the adversary takes part."""
        return self.adversary is not None and self.adversary.active(progress)

    def compile_parts(self) -> None:
        """Its blocks, and the networks that help it learn."""
        super().compile_parts()
        frozen = self.image_losses.frozen
        for network in (frozen.perceptual, frozen.teach, frozen.adversary):
            if isinstance(network, Compilable):
                network.compile_parts()


class TokenizerObjective(ImageObjective):
    """The tokenizer's objective (RecTok, section 3): both decoders read the noised, masked latent x_t."""

    tokenizer: ViTTokenizer

    def __init__(
        self,
        tokenizer: ViTTokenizer,
        losses: TokenizerLossConfig,
        noising: FlowConfig,
        masking: MaskingConfig,
        frozen: FrozenNetworks,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.losses, self.noising, self.masking = losses, noising, masking
        self.shift = flow.time_shift(tokenizer.config.tokens, tokenizer.config.sizes.channels)
        self.image_losses = ImageLosses(losses, frozen)
        self.teach = frozen.teach
        if losses.semantic.weight == 0 and tokenizer.semantic is not None:
            tokenizer.semantic.requires_grad_(False)

    def kind(self, draws: StepRandom, progress: float) -> Hashable:
        """Whether the adversary takes part, and how many tokens the encoder sees."""
        visible = visible_tokens(self.tokenizer.config.tokens, draws.one_uniform(), self.masking)
        return super().kind(draws, progress), visible

    def forward(self, batch: ImageBatch, draws: StepRandom, progress: float) -> LossOutput:
        """Loss, its parts, and reconstructions [B, 3, H, H] in [−1, 1]."""
        images = from_bytes(batch.image)
        channels = self.tokenizer.config.sizes.channels
        mask = random_mask(draws.uniform(self.tokenizer.config.tokens), draws.one_uniform(), self.masking)
        moments = self.tokenizer.encode(images, mask).float()  # [B, n, 2C]
        tokens = moments.shape[1]
        z = sample_posterior(moments, draws.normal(tokens, channels))
        t = flow.noise_level(draws.uniform(), draws.normal(), self.noising.schedule, self.shift)
        noised = flow.interpolate(z, draws.normal(tokens, channels), t, self.noising.noise_scale)

        fake = self.tokenizer.decode(noised, mask)
        total, parts = self.image_losses(fake, images, progress)
        parts["kl"] = kl_divergence(moments).mean()
        total = total + self.losses.kl * parts["kl"]
        if self.losses.semantic.weight:
            parts["semantic"] = self._semantic(batch, images, z, noised, mask)
            total = total + self.losses.semantic.weight * parts["semantic"]
        return total, parts, fake

    def _semantic(self, batch: ImageBatch, images: Tensor, z: Tensor, noised: Tensor, mask: Mask | None) -> Tensor:
        config, semantic = self.losses.semantic, self.tokenizer.semantic
        assert semantic is not None
        target = batch.teacher_features() if self.teach is None else self.teach(images / 2 + 0.5)
        student = semantic(noised if config.input == "noised" else z, mask)
        hidden = mask.hidden if mask is not None else None
        weight = token_weight(hidden, config.target, student)
        return semantic_loss(student, target, config.loss, config.temperature, weight)


class DecoderObjective(ImageObjective):
    """Decoder finetuning: the pixel decoder alone, on sampled latents without noise or mask."""

    def __init__(self, tokenizer: Tokenizer, losses: DecoderLossConfig, frozen: FrozenNetworks) -> None:
        super().__init__()
        self.tokenizer = with_decoder_alone(tokenizer)
        self.image_losses = ImageLosses(losses, frozen)

    def forward(self, batch: ImageBatch, draws: StepRandom, progress: float) -> LossOutput:
        """Loss, its parts, and reconstructions [B, 3, H, H] in [−1, 1]."""
        images = from_bytes(batch.image)
        with torch.no_grad():
            moments = self.tokenizer.encode(images).float()
        z = sample_posterior(moments, draws.normal(self.tokenizer.config.tokens, self.tokenizer.config.sizes.channels))
        fake = self.tokenizer.decode(z)
        total, parts = self.image_losses(fake, images, progress)
        return total, parts, fake


def with_decoder_alone(tokenizer: Tokenizer) -> Tokenizer:
    """`tokenizer`, of which only the pixel decoder is trained."""
    tokenizer.requires_grad_(False)
    tokenizer.decoder.requires_grad_(True)
    unmask(tokenizer)
    return tokenizer


def unmask(tokenizer: Tokenizer) -> None:
    """Do not train the token in place of masked ones where nothing is masked."""
    if isinstance(tokenizer.decoder, PixelDecoder):
        tokenizer.decoder.mask_token.requires_grad_(False)


class Alignment(nn.Module):
    """REPA's MLP of three layers (arXiv 2410.06940, section 3), which is trained beside the generator and not kept."""

    def __init__(self, width: int, teacher_width: int, block: int, weight: float) -> None:
        super().__init__()
        self.block, self.weight = block, weight
        hidden, again = Linear(width, PROJECTOR), Linear(PROJECTOR, PROJECTOR)
        self.layers = nn.Sequential(hidden, nn.SiLU(), again, nn.SiLU(), Linear(PROJECTOR, teacher_width))

    def forward(self, tokens: Tensor, features: Tensor) -> Tensor:
        """1 − cosine of what is predicted from `tokens` [B, N, W] and the teacher's `features` [B, N, D], mean over tokens."""
        return semantic_loss(self.layers(tokens), features, "cosine", 1.0)


class DiTObjective(Objective):
    """Flow matching of DiT^DH on normalised latents (arXiv 2510.11690).

    Whatever the network predicts, the loss is that of the velocity. For a network that predicts data it equals the error of the
    data over the squared time that is left. A head on an inner block learns the same, with `internal_weight` (arXiv 2512.24176).
    """

    def __init__(
        self,
        dit: DiTDH,
        normalise: Callable[[Tensor], Tensor],
        label_dropout: float,
        internal_weight: float = 0.0,
        alignment: Alignment | None = None,
    ) -> None:
        super().__init__()
        self.dit = dit
        self.normalise = normalise
        self.label_dropout, self.internal_weight = label_dropout, internal_weight
        self.alignment = alignment
        self.shift = flow.time_shift(dit.config.grid**2, dit.config.channels)

    @property
    def network(self) -> DiTDH:
        """The generator."""
        return self.dit

    def forward(self, batch: LatentBatch, draws: StepRandom, progress: float) -> LossOutput:
        """Loss and its parts."""
        data, noise = self._drawn(batch, draws)
        time = flow.generator_time(draws.uniform(), self.shift)
        labels = drop_labels(batch.label, draws.uniform(), self.label_dropout, self.dit.no_label)
        if self.dit.internal is None and self.alignment is None:
            return self._loss(data, noise, time, labels), {}, None
        x, target = self._pair(data, noise, time)
        velocity, inner, tokens = self.dit.predictions(x, time, labels, self.alignment.block if self.alignment else 0)
        total = F.mse_loss(velocity.float(), target)
        parts = {"velocity": total}
        if inner is not None:
            parts["internal"] = F.mse_loss(inner.float(), target)
            total = total + self.internal_weight * parts["internal"]
        if self.alignment is not None:
            parts["alignment"] = self.alignment(tokens, batch.teacher_features())
            total = total + self.alignment.weight * parts["alignment"]
        return total, parts, None

    def loss_at(self, batch: LatentBatch, draws: StepRandom, time: float) -> Tensor:
        """The loss of all latents at one `time`, with their labels."""
        data, noise = self._drawn(batch, draws)
        return self._loss(data, noise, torch.full((len(data),), time, device=data.device), batch.label)

    def _drawn(self, batch: LatentBatch, draws: StepRandom) -> tuple[Tensor, Tensor]:
        """Normalised latents and noise, [B, C, grid, grid] each."""
        config = self.dit.config
        shape = (config.grid**2, config.channels)
        z = self.normalise(sample_posterior(batch.moments.float(), draws.normal(*shape)))
        return to_grid(z, config.grid), to_grid(draws.normal(*shape), config.grid)

    def _pair(self, data: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """x_τ and the velocity to learn there."""
        x, target = flow.generator_pair(data, noise, time)
        return x, target if self.dit.config.prediction == "v" else flow.velocity_to(data, x, time)

    def _loss(self, data: Tensor, noise: Tensor, time: Tensor, labels: Tensor) -> Tensor:
        x, target = self._pair(data, noise, time)
        return F.mse_loss(self.dit(x, time, labels).float(), target)
