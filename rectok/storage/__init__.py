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
)

__all__ = [
    "Ranges",
    "below",
    "direct_files",
    "fetch",
    "is_remote",
    "list_files",
    "open_binary",
    "publish",
    "read_bytes",
    "remove",
    "remove_below",
    "verified",
]
