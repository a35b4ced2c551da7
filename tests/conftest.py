"""What holds for all tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow files come first, so that the quick ones fill up whichever process is done with its share of them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
