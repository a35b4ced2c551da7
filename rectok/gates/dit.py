"""Gate of the generator."""

from functools import partial

from rectok.checks.networks import generator_checks

check = partial(generator_checks, "dit")
