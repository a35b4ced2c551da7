"""What a user's mistake is answered with."""

import pytest

from rectok.errors import UserError


def user_error(match: str) -> "pytest.RaisesExc[UserError]":
    """The block must end with a UserError whose sentence holds `match`, a regular expression."""
    return pytest.raises(UserError, match=match)
