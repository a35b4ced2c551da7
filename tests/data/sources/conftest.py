"""A bucket of the test's own server, for sources that lie in one."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.storage.server import running


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """Its client; the server and its variables last as long as the module."""
    with pytest.MonkeyPatch.context() as patch, running(patch) as client:
        yield client
