"""A clone for a reader of the guides."""

from pathlib import Path

import pytest

from tests.guides.guide import Clone, clone


@pytest.fixture
def cloned(tmp_path: Path) -> Clone:
    """A clone with few images in one shard."""
    copy = clone(tmp_path / "clone")
    small = {"index": {"limit": 300, "shards": ["00000"]}, "gates": {"index": {"min_per_class": 20}}}
    copy.change(["params.yaml"], small)
    return copy
