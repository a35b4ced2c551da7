"""Channels of alerts. Parameters never hold a secret, but the name of the environment variable that does."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from rectok.config import Config

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _require_variable(field: str, name: str) -> None:
    """Raises ValueError without `name`, which may be the secret itself."""
    if name and not VARIABLE.fullmatch(name):
        raise ValueError(f"{field} must be the name of the environment variable that holds it, or empty")


class MailConfig(Config):
    """E-mail through the SMTP server `host`. An empty host sends none. `user` and `password` name environment variables."""

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
    def _has_sender_and_recipients(self) -> Self:
        if self.host and not (self.sender and self.to):
            raise ValueError("host is set, so sender and to must be set too")
        return self


class AlertConfig(Config):
    """Channels of alerts, each off if empty; `webhook` names the variable with its URL. `ui` is Dagster's address for links."""

    ui: str
    webhook: str
    mail: MailConfig

    @model_validator(mode="after")
    def _names_a_variable(self) -> Self:
        _require_variable("webhook", self.webhook)
        return self

    @property
    def silent(self) -> bool:
        """Whether there is no channel."""
        return not self.webhook and not self.mail.host
