"""The works by their names, and all of those asked for, one after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from rectok.bench.indexing import index
from rectok.bench.loading import loader
from rectok.bench.passes import encode, features, perceptual, sample
from rectok.bench.training import dit, tokenizer
from rectok.bench.work import Bench, Patience, Setting, Variant
from rectok.errors import UserError
from rectok.params import Params
from rectok.train.world import join
from rectok.workloads.speed import Speed

CLASSES = 1000
"""Of the benched generator; its label embedding is looked up, not multiplied."""
WORKS: dict[str, Callable[[Setting, int | None], Iterator[Variant]]] = {
    "tokenizer": tokenizer,
    "dit": dit,
    "sample": sample,
    "encode": encode,
    "features": features,
    "perceptual": perceptual,
    "loader": loader,
    "index": index,
}


@dataclass(frozen=True)
class Wish:
    """A work, perhaps one variant of it alone, perhaps with a batch size of its own."""

    work: str
    variant: str
    batch: int | None

    @classmethod
    def read(cls, text: str, batch: int | None) -> "Wish":
        """From `work[/variant][:batch]`; `batch` where it names none. Raises UserError."""
        rest, _, size = text.partition(":")
        work, _, variant = rest.partition("/")
        if work not in WORKS:
            raise UserError(f"there is no work {work!r} to bench; choose from {', '.join(WORKS)} and all")
        if size and not (size.isdecimal() and int(size)):
            raise UserError(f"the batch of {text} is {size!r}, but must be a whole number above 0")
        return cls(work, variant, int(size) if size else batch)

    def variants(self, setting: Setting) -> Iterator[Variant]:
        """Those that are meant. Raises UserError if there is none of that name."""
        found = list(WORKS[self.work](setting, self.batch))
        kept = [variant for variant in found if self.variant in ("", variant.name)]
        if found and not kept:
            names = ", ".join(variant.name for variant in found)
            raise UserError(f"{self.work} has no variant {self.variant!r}; choose from {names}")
        yield from kept


def wishes(texts: Sequence[str], batch: int | None) -> list[Wish]:
    """What the command line asks for; `all` is every work."""
    names = [name for text in texts for name in (WORKS if text == "all" else [text])]
    return [Wish.read(name, batch) for name in names]


def run(params: Params, asked: Sequence[Wish], patience: Patience) -> Iterator[Speed]:
    """Time what is asked for on this process's device, with random weights and synthetic inputs."""
    setting = Setting(params, join(params.machine), CLASSES)
    bench = Bench(setting, patience)
    for wish in asked:
        yield from bench.measured(wish.work, partial(wish.variants, setting))
