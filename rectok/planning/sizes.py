"""Parameters of every part, what a training holds in memory, and bytes on disk."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from rectok.errors import UserError
from rectok.nn.counting import parameters
from rectok.params import Params
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.tokenizer_config import TokenizerConfig
from rectok.train.training_config import TrainingConfig
from rectok.workloads.costs import Costs
from rectok.workloads.generators import alignment_of
from rectok.workloads.objectives import adversary_of

FLOAT32 = 4
MEMORY_FORMULA = (
    "bytes per GPU, P trained and F frozen weights, n GPUs: weights 4·(P + F), gradients 4·P, optimizer 8·P (two moments, "
    "of which Muon has one), EMA 4·P for each average. ZeRO 1 splits the moments over GPUs beside a split float32 copy of "
    "the weights, 12·P/n; ZeRO 2 gradients too, 4·P/n; ZeRO 3 weights and EMA too. Offload moves the optimizer to the host. "
    "Activations: what autograd keeps of one micro-batch's objective, counted on shapes; torch.compile and DeepSpeed's "
    "buckets come on top or save some"
)
PNG_SHARE = 0.6
"""Of the raw pixels that a photograph's PNG takes."""
TAR_BYTES = 2300
"""Two headers, the label, padding, and the row of the offset table."""
KEY_BYTES = 12
"""The key and the row's checksum."""
LABEL_BYTES = 9
"""The label and the split."""
FLOAT_BYTES = {"float32": 4, "float16": 2}
STATE = 20
"""Bytes a weight of a resumable checkpoint: the weight, its float32 copy, two moments, the average."""
CHECKPOINTS = 2
"""The newest one, and the one before in case it is damaged."""
KEPT = 8
"""Bytes a weight of a finished training: its average, and itself."""


def part_sizes(costs: Costs) -> dict[str, int | None]:
    """Number of weights of every network; None for one that only its own library can build."""
    params = costs.params
    tokenizer = costs.tokenizer
    adversary = adversary_of(params.tokenizer.losses.adversary) or adversary_of(params.decoder.losses.adversary)
    perceptual = costs.perceptual_network(params.tokenizer.losses.perceptual)
    sizes: dict[str, int | None] = {
        "tokenizer.encoder": parameters(tokenizer.encoder),
        "tokenizer.decoder": parameters(tokenizer.decoder),
        "tokenizer.semantic": parameters(tokenizer.semantic) if tokenizer.semantic else 0,
        "adversary": parameters(adversary.network) if adversary else 0,
        "teacher": parameters(costs.teacher),
        "perceptual": parameters(perceptual) if perceptual else 0,
        "metric_network": _metric_network(params, costs.shapes.build),
    }
    for name, section in (("dit", params.dit), ("autoguidance", params.autoguidance)):
        dit = costs.generator(section)
        head = sum(parameters(part) for part in (dit.head_patch, dit.bridge, dit.head, dit.final))
        sizes |= {f"{name}.encoder": parameters(dit) - head, f"{name}.head": head}
    if params.dit.alignment.block:
        mlp = costs.shapes.build(lambda: alignment_of(params.dit, costs.latent.teacher_width))
        sizes["alignment"] = parameters(mlp)
    return sizes


def _metric_network(params: Params, build: Callable[[Callable[[], nn.Module]], nn.Module]) -> int | None:
    try:
        return parameters(build(lambda: VisionNetwork(params.metric_network.network, None)))
    except UserError:
        return None


@dataclass(frozen=True)
class Memory:
    """Bytes on each of `gpus` GPUs under ZeRO `zero_stage`: see MEMORY_FORMULA."""

    training: str
    zero_stage: int
    gpus: int
    weights: float
    gradients: float
    optimizer: float
    ema: float
    activations: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.weights + self.gradients + self.optimizer + self.ema + self.activations


def memory(
    training: str,
    config: TrainingConfig,
    trained: int,
    frozen: int,
    zero_stage: int,
    gpus: int,
    activations: float,
    averages: int = 1,
) -> Memory:
    """What one GPU holds while `trained` weights learn with the help of `frozen` ones, and `averages` of them are kept."""
    whole = FLOAT32 * trained
    moments = 2 * whole if zero_stage == 0 else 3 * whole / gpus
    return Memory(
        training,
        zero_stage,
        gpus,
        weights=whole / (gpus if zero_stage == 3 else 1) + FLOAT32 * frozen,
        gradients=whole / (gpus if zero_stage >= 2 else 1),
        optimizer=0.0 if config.offload == "cpu" and zero_stage else moments,
        ema=averages * whole / (gpus if zero_stage == 3 else 1),
        activations=activations,
    )


def per_image(params: Params, latent: TokenizerConfig) -> dict[str, float]:
    """Bytes of one image's shard row, features and latents, in every orientation that training shows."""
    orientations = 2 if params.image.flip else 1
    tokens = orientations * latent.tokens
    features = {
        "int8": tokens * (latent.teacher_width + 4) + KEY_BYTES,  # a float32 scale a token
        "float16": tokens * 2 * latent.teacher_width + KEY_BYTES,
        "online": KEY_BYTES,
    }
    return {
        "shards": PNG_SHARE * 3 * params.image.size**2 + TAR_BYTES,
        "features": features[params.features.storage],
        "latents": tokens * 2 * latent.sizes.channels * FLOAT_BYTES[params.latents.storage] + KEY_BYTES + LABEL_BYTES,
    }


def disk(params: Params, latent: TokenizerConfig, images: int, weights: int, dropped: int = 0) -> dict[str, float]:
    """Bytes of every kind of artefact for `images` images, `weights` trained weights, and those `dropped` after the training."""
    data = {name: images * size for name, size in per_image(params, latent).items()}
    checkpoints = CHECKPOINTS * STATE * (weights + dropped)
    return {**data, "weights": float(KEPT * weights), "largest checkpoints": float(checkpoints)}
