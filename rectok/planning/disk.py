"""Bytes on disk."""

from rectok.params import Params
from rectok.tokenizer.tokenizer_config import TokenizerConfig

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
KEPT = 8
"""Bytes a weight of a finished training: its average, and itself."""


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


def disk(params: Params, latent: TokenizerConfig, images: int, weights: int) -> dict[str, float]:
    """Bytes of every kind of artefact for `images` images and `weights` trained weights."""
    data = {name: images * size for name, size in per_image(params, latent).items()}
    return {**data, "weights": float(KEPT * weights), "largest checkpoints": float(STATE * weights)}
