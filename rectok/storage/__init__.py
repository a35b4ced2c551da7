"""Files in a folder or in an S3-compatible object store, through one interface."""

from rectok.storage.objects import (
    Ranges,
    below,
    direct_files,
    fetch,
    is_remote,
    list_files,
    open_binary,
    publish,
    read_bytes,
    remove,
    remove_below,
    verified,
)  # fmt: skip
from rectok.storage.s3 import StoredFile

__all__ = [
    "Ranges", "StoredFile", "below", "direct_files", "fetch", "is_remote", "list_files", "open_binary", "publish", "read_bytes",
    "remove", "remove_below", "verified",
]  # fmt: skip
