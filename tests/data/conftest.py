"""Object stores for sources and shards."""

from tests.storage.conftest import bucket, proxy, store

__all__ = ["bucket", "proxy", "store"]
