"""What an ablation compares: rows of changed parameters, the seeds of each, and the metrics to show."""

from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import chain
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator

from rectok.config import Config, first_mistake
from rectok.errors import UserError
from rectok.evaluation.metrics import METRICS
from rectok.yaml_text import UNREADABLE, load_yaml

NAME = r"^[a-z0-9][a-z0-9.-]*$"
Changes = dict[str, Any]
"""Parameters by their dotted names."""


class Row(Config):
    """One row of the table. `seeds` replace the spec's; `x` and `line` place it on the plot, rows without `x` stand side by side.

    `after` names a row whose trainings this one shares: run when that one is done, it finds them in the cache.
    """

    name: str = Field(pattern=NAME)
    title: str
    set: Changes
    x: float | None = None
    line: str = ""
    seeds: tuple[int, ...] | None = None
    after: str = ""


class Spec(Config):
    """An ablation.

    `claim` says what the paper says must hold. `shared` are DVC targets that no row changes: they are made once, in a
    workspace that has the changes of `set`. `targets` are made in every row. `set` changes parameters in all rows.
    `columns` are metrics of `rectok summary`; `probe@0.5` is the probe's accuracy at t = 0.5, `images_per_second@dit` the speed
    of the generator's training, and `fd` stands for one column in each of `generation.spaces`.

    A file may say `like: method`, the name of an ablation that comes with the package: it is then that ablation but for the
    keys that it gives, and its `set` comes on top of the other's.
    """

    title: str
    claim: str
    shared: tuple[str, ...]
    targets: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    set: Changes
    columns: tuple[str, ...] = Field(min_length=1)
    axis: str = ""
    rows: tuple[Row, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rows_fit(self) -> Self:
        names = [row.name for row in self.rows]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rows are named {twice[0]}")
        lost = [row.after for row in self.rows if row.after and row.after not in names]
        if lost:
            raise ValueError(f"a row comes after {lost[0]}, which is no row")
        bare, placed = ([row.name for row in self.rows if (row.x is None) is none] for none in (True, False))
        if bare and placed:
            raise ValueError(f"row {bare[0]} has no x, row {placed[0]} has one")
        lined = [row.name for row in self.rows if row.line and row.x is None]
        if lined:
            raise ValueError(f"row {lined[0]} is on a line and has no x")
        return self


class Cell(Config):
    """One run: a row with one seed."""

    row: Row
    seed: int

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"{self.row.name}-s{self.seed}"

    def changes(self, spec: Spec) -> Changes:
        """All parameters that differ from the project's."""
        return {**spec.set, **self.row.set, "seed": self.seed}


def cells(spec: Spec) -> list[Cell]:
    """All runs, those of rows after others last; the first seed of every row comes first, so that a table is soon whole."""
    seeds = {row.name: row.seeds or spec.seeds for row in spec.rows}
    turns = range(max(map(len, seeds.values())))
    chosen = [(row, turn) for turn in turns for row in spec.rows if turn < len(seeds[row.name])]
    runs = [Cell(row=row, seed=seeds[row.name][turn]) for row, turn in chosen]
    return sorted(runs, key=lambda cell: bool(cell.row.after))


def in_spaces(spec: Spec, spaces: Sequence[str]) -> Spec:
    """`spec` with a column in each of `spaces` for those that name a metric of feature spaces and no space."""
    columns = [
        [f"{column}@{space}" for space in spaces] if (metric := METRICS.get(column)) and metric.by_space else [column]
        for column in spec.columns
    ]
    return spec.model_copy(update={"columns": tuple(chain.from_iterable(columns))})


def spec_names() -> list[str]:
    """Ablations that come with the package."""
    return sorted(path.name.removesuffix(".yaml") for path in _folder().iterdir() if path.name.endswith(".yaml"))


def load_spec(name: str) -> Spec:
    """The ablation that comes with the package under `name`, or the YAML file of that path. Raises UserError."""
    if name in spec_names():
        return validated(_packaged(name), name)
    path = Path(name)
    if not path.is_file():
        raise UserError(f"there is no ablation {name!r}; name a YAML file or one of {', '.join(spec_names())}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"ablation {name} is no text in UTF-8") from None
    return validated(_whole(text, name), name)


def _folder() -> Traversable:
    return resources.files("rectok.ablation") / "specs"


def _packaged(name: str) -> Any:
    return _whole((_folder() / f"{name}.yaml").read_text(encoding="utf-8"), name)


def _whole(text: str, name: str) -> Any:
    """The mapping that `text` holds, completed from the ablation that it is `like`."""
    try:
        tree = load_yaml(text)
    except UNREADABLE as error:
        raise UserError(f"ablation {name} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict) or "like" not in tree:
        return tree
    like = tree.pop("like")
    if like not in spec_names():
        raise UserError(f"ablation {name} is like {like!r}, which is none of {', '.join(spec_names())}")
    base, own = _packaged(like), tree.get("set", {})
    return {**base, **tree, "set": {**base["set"], **own} if isinstance(own, dict) else own}


def validated(tree: Any, name: str) -> Spec:
    """The ablation that `tree` holds. Raises UserError for what is none."""
    try:
        return Spec.model_validate(tree, strict=False)
    except ValidationError as error:
        raise UserError(f"ablation {name}: {first_mistake(error)}") from None
