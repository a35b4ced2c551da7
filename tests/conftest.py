"""What holds for all tests."""

import signal

import pytest

# What a script starts in the background ignores Ctrl-C, and so does all that it starts itself; tests end servers with it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow files come first, so that the quick ones fill up whichever process is done with its share of them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
