"""ICC profiles that differ from sRGB, written here: what a file's colours mean is known exactly (ICC.1:2001)."""

import struct

import numpy as np
from PIL import ImageCms

WHITE = bytes.fromhex("0000f6d6000100000000d32d")
"""D50, the white of the connection space, in three fixed-point numbers."""


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped() -> bytes:
    """sRGB in which the first channel is green and the second red: the tags of their primaries change names."""
    return srgb().replace(b"rXYZ", b"swap", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"swap", b"gXYZ", 1)


def linear_grey() -> bytes:
    """Grey that is proportional to light: gamma 1."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2)
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve})


def cyan_is_black() -> bytes:
    """A press on which cyan prints black, and the other inks nothing."""
    inks = np.stack(np.meshgrid(*[(0, 1)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)  # the nodes, last ink fastest
    lab = np.stack([255 * (1 - inks[:, 0]), *[np.full(16, 128)] * 2], axis=-1).astype(np.uint8)
    identity = np.arange(256, dtype=np.uint8)
    matrix = struct.pack(">9i", *[65536 * (i % 4 == 0) for i in range(9)])
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + np.tile(identity, 4).tobytes()
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": table + lab.tobytes() + np.tile(identity, 3).tobytes()})


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {**tags, b"wtpt": b"XYZ " + bytes(4) + WHITE}
    position = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", position + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    date = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    head = bytes(4) + bytes.fromhex("02400000") + kind + space + connection + date + b"acsp" + bytes(28) + WHITE
    header = struct.pack(">I", position + len(body)) + head
    return header + bytes(128 - len(header)) + table + body
