"""The one exception that reaches a person."""


class UserError(Exception):
    """Something the user can mend.

    Its text is one sentence that names the key, file or value and says what would be right; the command line prints it
    without a traceback and exits with a non-zero code.
    """
