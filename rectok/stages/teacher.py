"""The network whose features are distilled: a foundation model, or a proxy trained on the train split."""

from functools import partial

from rectok.trainers.networks import make

run = partial(make, "teacher")
