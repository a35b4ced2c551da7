"""Gate of the autoguidance model."""

from functools import partial

from rectok.checks.networks import generator_checks

check = partial(generator_checks, "autoguidance")
