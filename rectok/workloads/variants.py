"""Parameters as one timed or counted piece of work wants them."""

from rectok.params import Params
from rectok.params.editing import changed

TOKENIZER_VARIANTS = ("cached", "cached+adversary", "online", "online+adversary")
"""Where the teacher's features come from, and whether the adversary takes part."""
PUBLISHED_WEIGHT = 0.1
"""Of the adversary, where the parameters have none and a variant wants one."""


def tokenizer_variant(params: Params, variant: str) -> Params:
    """`params` with features and adversary as `variant` says; an adversary takes part from the start."""
    features, _, adversary = variant.partition("+")
    weight = (params.tokenizer.losses.adversary.weight or PUBLISHED_WEIGHT) if adversary else 0.0
    stored = params.features.storage if params.features.storage != "online" else "int8"
    return changed(
        params,
        {
            "features.storage": "online" if features == "online" else stored,
            "tokenizer.losses.adversary.weight": weight,
            "tokenizer.losses.adversary.start": 0.0,
        },
    )


def with_batch(params: Params, stage: str, batch: int) -> Params:
    """`params` with `stage` training on batches of `batch` images, not accumulated."""
    return changed(params, {f"{stage}.training.batch": batch, f"{stage}.training.micro_batch": batch})
