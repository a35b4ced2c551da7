"""Reading files from a folder or from an S3-compatible object store."""

from rectok.storage.objects import fetch, list_files, open_binary, read_bytes, verified

__all__ = ["fetch", "list_files", "open_binary", "read_bytes", "verified"]
