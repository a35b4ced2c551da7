"""The exception for mistakes of the user."""


class UserError(Exception):
    """Something the user can fix. Its text is one sentence that names the key, file or value and says what would be right.

    The command line prints it without a traceback and exits with a non-zero code.
    """
