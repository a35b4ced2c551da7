"""The tokenizer must reconstruct, carry semantics, and use its channels."""

from collections.abc import Iterator

from rectok.artifacts import Check
from rectok.checks.bounds import at_least
from rectok.checks.networks import summary_of, training_checks
from rectok.params import Params

MAX_LOSS_RATIO = 1.0


def check(params: Params) -> Iterator[Check]:
    """Checks of data/tokenizer."""
    limits, summary = params.gates.tokenizer, summary_of("tokenizer")
    yield from training_checks("tokenizer", params, MAX_LOSS_RATIO)
    yield at_least("psnr", summary["psnr"], limits.min_psnr, "PSNR on the validation split (dB)")
    std = summary["latent_std_min"]
    yield at_least("latent std", std, limits.min_latent_std, "the smallest std of a latent channel")
    if summary["semantic_cosine"] is not None:
        floor = limits.min_semantic_cosine
        yield at_least("semantic cosine", summary["semantic_cosine"], floor, "cosine of predicted and teacher features")
