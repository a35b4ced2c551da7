"""Why a file is no usable image."""

from collections.abc import Iterator
from contextlib import contextmanager

DAMAGED = "truncated or damaged"


class BadImage(Exception):
    """An unusable image. `reason` is one of a few phrases to count by, `detail` describes this image."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@contextmanager
def damage_makes_bad_images() -> Iterator[None]:
    """Raise BadImage for whatever a decoder raises.

    The decoders of Pillow raise much more than OSError. AVIF raises RuntimeError, PNG SyntaxError, and TIFF KeyError.
    """
    try:
        yield
    except BadImage:
        raise
    except Exception as error:
        raise BadImage(DAMAGED, " ".join(str(error).encode(errors="replace").decode().split())) from None
