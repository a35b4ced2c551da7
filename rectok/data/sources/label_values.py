"""What counts as a label: text or a whole number that is not negative."""

import math
from decimal import Decimal
from typing import Any

from rectok.errors import UserError

DIGITS = 20
"""Of the largest whole number of 64 bits."""


def is_missing(value: Any) -> bool:
    """Whether a value says that there is no label: nothing, NaN, −1, or text that shows nothing or says so."""
    if isinstance(value, str):
        return value.strip().lower() in ("nan", "-1") or not any(map(str.isprintable, value.strip()))
    if isinstance(value, (float, Decimal)) and math.isnan(value):
        return True
    return value is None or (not isinstance(value, bool) and value == -1)


def label_of(value: Any, where: str) -> str:
    """A label as text without blanks around it; 3.0 is 3.

    Raises UserError, which begins with `where`, for a missing label and for anything else.
    """
    number = whole_number(value)
    if number is not None:
        return str(number)
    if not isinstance(value, str) or is_missing(value):
        raise UserError(f"{where} has the label {value!r}; it must be text or a whole number")
    return value.strip()


def whole_number(value: Any) -> int | None:
    """A number that is whole and not negative. None for anything else, including text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not math.isfinite(value):
        return None
    return int(value) if value >= 0 and value == int(value) else None


def number_in(text: str) -> int | None:
    """The whole number that a text writes, such as 7 or 007. None for other text, and for more digits than a number has."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else None
