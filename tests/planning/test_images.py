"""Counts come from the index where it is there, else from what is known of public data."""

import pytest

from rectok import artifacts
from rectok.planning.images import IMAGENET, images_of
from tests.errors import user_error

pytestmark = pytest.mark.usefixtures("here")


def index() -> None:
    artifacts.write_json(artifacts.summary_file("index"), {"splits": {"train": 77, "val": 3, "test": 2}})
    artifacts.write_json(artifacts.classes_file(), ["a", "b", "c"])


def test_the_index_comes_before_public_data() -> None:
    index()
    found = images_of("digits", None, indexed=True)
    assert (found.train, found.stored, found.classes) == (77, 82, 3)
    found = images_of("digits", None, indexed=False)
    assert (found.train, found.stored, found.classes) == (1258, 1797, 10)  # scikit-learn has 1 797 digits


def test_without_an_index_public_data_proxy() -> None:
    assert images_of("imagenet256", None, indexed=True) == images_of("imagenet512", None, indexed=True) == IMAGENET
    assert images_of("cifar10", None, indexed=True).stored == 60_000


def test_asked_images_take_the_place_of_the_train_split_alone() -> None:
    index()
    found = images_of("mine", 500, indexed=True)
    assert (found.splits, found.classes) == ({"train": 500, "val": 3, "test": 2}, 3)


def test_unknown_data_want_a_number() -> None:
    with user_error("add --images"):
        images_of("mine", None, indexed=True)
    found = images_of("mine", 500, indexed=True)
    assert (found.splits, found.classes) == ({"train": 500}, 1000)
