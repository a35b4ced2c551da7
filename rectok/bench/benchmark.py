"""`rectok bench`: times the works that the command line names, one after the other."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from rectok.bench.index import index
from rectok.bench.loader import loader
from rectok.bench.passes import encode, features, perceptual, sample
from rectok.bench.profiling import Profile
from rectok.bench.training import dit, tokenizer
from rectok.bench.work import Bench, Budget, Setting, Variant
from rectok.errors import UserError
from rectok.params import Params
from rectok.train.world import join
from rectok.workloads.speed import Speed

CLASSES = 1000
"""Of the benched generator; its label embedding is looked up, not multiplied."""
WORKS: dict[str, Callable[[Setting, int | None], Iterator[Variant]]] = {
    work.__name__: work for work in (tokenizer, dit, sample, encode, features, perceptual, loader, index)
}


@dataclass(frozen=True)
class Target:
    """A work, perhaps one variant of it alone, perhaps with a batch size of its own."""

    work: str
    variant: str
    batch: int | None

    @classmethod
    def read(cls, text: str, batch: int | None) -> "Target":
        """From `work[/variant][:batch]`; `batch` where it names none. Raises UserError."""
        rest, _, size = text.partition(":")
        work, _, variant = rest.partition("/")
        if work not in WORKS:
            raise UserError(f"there is no work {work!r} to bench; choose from {', '.join(WORKS)} and all")
        if size and not (size.isdecimal() and int(size)):
            raise UserError(f"the batch of {text} is {size!r}, but must be a whole number above 0")
        return cls(work, variant, int(size) if size else batch)

    def variants(self, setting: Setting) -> Iterator[Variant]:
        """The variants that it names. Raises UserError if there is none of that name."""
        variants = list(WORKS[self.work](setting, self.batch))
        chosen = [variant for variant in variants if self.variant in ("", variant.name)]
        if variants and not chosen:
            names = ", ".join(variant.name for variant in variants)
            raise UserError(f"{self.work} has no variant {self.variant!r}; choose from {names}")
        yield from chosen


def read_targets(texts: Sequence[str], batch: int | None) -> list[Target]:
    """The targets that the command line names; `all` is every work."""
    names = [name for text in texts for name in (WORKS if text == "all" else [text])]
    return [Target.read(name, batch) for name in names]


def run(
    params: Params, targets: Sequence[Target], budget: Budget, profiled: Callable[[Profile], None] | None = None
) -> Iterator[Speed]:
    """Time the targets on this process's device, with random weights and synthetic inputs.

    `profiled` gets the profile of each after its timing.
    """
    setting = Setting(params, join(params.machine), CLASSES)
    bench = Bench(setting, budget, profiled)
    for target in targets:
        yield from bench.measured(target.work, partial(target.variants, setting))
