"""RecTok: visual tokenizers with semantics along the whole flow, and diffusion transformers on top of them.

`Tokenizer` and `Generator` use trained networks from Python. The import of torch waits until one of them is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rectok.api import Generator, Tokenizer

__all__ = ["Generator", "Tokenizer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rectok' has no attribute {name!r}")
    from rectok import api

    return getattr(api, name)
