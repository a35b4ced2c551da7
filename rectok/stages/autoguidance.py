"""Train the autoguidance model of AutoGuidance (arXiv 2406.02507): smaller, and for a shorter time."""

from functools import partial

from rectok.trainers.generator import train_generator

run = partial(train_generator, "autoguidance")
