"""Finetuning must not have made reconstructions worse."""

from collections.abc import Iterator

from rectok.artifacts import Check
from rectok.checks.bounds import at_least
from rectok.checks.networks import summary_of, training_checks
from rectok.params import Params

MAX_LOSS_RATIO = 2.0
"""Adversary and generator pull against each other, so this loss may rise a little."""


def check(params: Params) -> Iterator[Check]:
    """Checks of data/decoder."""
    summary = summary_of("decoder")
    yield from training_checks("decoder", params, MAX_LOSS_RATIO)
    gain = summary["psnr"] - summary["psnr_before"]
    yield at_least("psnr gain", gain, -params.gates.decoder.max_psnr_loss, "PSNR after minus before finetuning (dB)")
