"""Where alerts go. Secrets are never written here: a field names the environment variable that holds one."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from rectok.config import Config

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _require_variable(field: str, name: str) -> None:
    """What is no name may be the secret itself, so it is not repeated."""
    if name and not VARIABLE.fullmatch(name):
        raise ValueError(f"{field} must be the name of the environment variable that holds it, or empty")


class MailConfig(Config):
    """E-mail through the SMTP server `host`; an empty host sends none. `user` and `password` name environment variables."""

    host: str
    port: int = Field(gt=0, lt=65536)
    security: Literal["starttls", "tls", "none"]
    sender: str
    to: tuple[str, ...]
    user: str
    password: str

    @model_validator(mode="after")
    def _names_variables(self) -> Self:
        _require_variable("user", self.user)
        _require_variable("password", self.password)
        return self

    @model_validator(mode="after")
    def _has_both_ends(self) -> Self:
        if self.host and not (self.sender and self.to):
            raise ValueError("host is set, so sender and to must be set too")
        return self


class AlertConfig(Config):
    """Both ways that an alert takes. `webhook` names the environment variable that holds its URL; empty sends none.

    `ui` is the address of Dagster's web server, for links; empty gives none.
    """

    ui: str
    webhook: str
    mail: MailConfig

    @model_validator(mode="after")
    def _names_a_variable(self) -> Self:
        _require_variable("webhook", self.webhook)
        return self

    @property
    def silent(self) -> bool:
        """Whether an alert goes nowhere."""
        return not self.webhook and not self.mail.host
