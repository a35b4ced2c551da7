"""How fast a piece of work was, as `rectok bench --json` writes it and `rectok plan --bench` reads it: one JSON object a line."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from rectok.config import Config
from rectok.errors import UserError


class Spread(Config):
    """Over repeats."""

    median: float = Field(gt=0)
    min: float = Field(gt=0)
    max: float = Field(gt=0)


class Speed(Config):
    """One variant of one work on one device. What could not be measured is None, and `error` says why.

    `flops_per_image` counts a multiply-add as two; `peak_tflops` is a matrix product's rate in the same precision in the
    same run; `peak_state` is `hot` where the card had just finished the timings of a variant, as all of today's are.
    """

    work: str
    variant: str
    preset: str
    device: str
    torch: str
    precision: str = ""
    compiled: bool = False
    batch: int
    images_per_second: Spread | None = None
    flops_per_image: float | None = None
    tflops: float | None = None
    peak_tflops: float | None = None
    peak_state: str = ""
    share_of_peak: float | None = None
    peak_memory_gib: float | None = None
    repeats: int = 0
    networks: str
    error: str | None = None


def read_speeds(paths: Sequence[Path]) -> list[Speed]:
    """The records in files of `rectok bench --json`. Raises UserError naming file and line."""
    speeds = []
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read: {error}") from None
        for number, line in enumerate(lines, 1):
            try:
                speeds.append(Speed.model_validate_json(line))
            except ValidationError:
                raise UserError(f"line {number} of {path} is no record of `rectok bench --json`") from None
    return speeds
