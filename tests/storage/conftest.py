"""A server of each module's own, with and without a proxy."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.storage.proxy import FaultyStore, Proxy, faulty_store
from tests.storage.server import running


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """A client of the server."""
    with pytest.MonkeyPatch.context() as patch, running(patch) as client:
        yield client


@pytest.fixture(scope="module")
def store() -> Iterator[FaultyStore]:
    """A server behind a proxy."""
    with faulty_store() as running_store:
        yield running_store


@pytest.fixture
def proxy(store: FaultyStore) -> Proxy:
    """The proxy, without faults."""
    store.proxy.spoil()
    return store.proxy
