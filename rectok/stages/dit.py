"""Train the generator."""

from functools import partial

from rectok.trainers.generator import train_generator

run = partial(train_generator, "dit")
