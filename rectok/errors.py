"""The exceptions for mistakes of the user and for damaged files."""


class UserError(Exception):
    """Something the user can fix. Its text is one sentence that names the key, file or value and says what would be right.

    The command line prints it without a traceback and exits with a non-zero code.
    """


class DamagedError(UserError):
    """A file that is not what was written."""
