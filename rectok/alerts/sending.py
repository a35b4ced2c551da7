"""Delivery of an alert through every channel. A failure of one channel does not stop the others."""

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

from rectok.alerts.alert_config import AlertConfig
from rectok.alerts.mail import send_mail
from rectok.alerts.webhook import send_webhook
from rectok.errors import UserError

AlertKind = Literal["failed", "missed", "regression", "trial"]
ATTEMPTS, FIRST_PAUSE = 3, 1.0
"""Attempts of each channel, and the seconds between the first two. Every further pause doubles."""


@dataclass(frozen=True)
class Alert:
    """An event of the nightly run of `date` (YYYY-MM-DD): a `title` in one line, the `text`, and a `link` to details."""

    kind: AlertKind
    date: str
    title: str
    text: str
    link: str = ""

    @property
    def body(self) -> str:
        """The text and the link."""
        return "\n\n".join(part for part in (self.text, self.link) if part)


def send(config: AlertConfig, alert: Alert) -> list[str]:
    """Send `alert` through all channels. Returns their names.

    Raises UserError, which names each channel that failed, after all were tried.
    """
    failures = []
    for channel in channels(config):
        try:
            _retry(partial(deliver, config, alert, channel))
        except (UserError, OSError) as error:
            failures.append(f"{channel}: {error}")
    if failures:
        raise UserError(f"the alert “{alert.title}” was not delivered by {'; '.join(failures)}")
    return channels(config)


def channels(config: AlertConfig) -> list[str]:
    """The names of the channels."""
    return [name for name, setting in (("webhook", config.webhook), ("e-mail", config.mail.host)) if setting]


def deliver(config: AlertConfig, alert: Alert, channel: str) -> None:
    """Try one channel once. Raises OSError if a retry may help, and UserError if something must be fixed first."""
    if channel == "webhook":
        record = {**asdict(alert), "text": f"{alert.title}\n{alert.body}"}
        send_webhook(_secret("nightly.alert.webhook", config.webhook), record)
        return
    user, password = config.mail.user, config.mail.password
    send_mail(
        config.mail,
        alert.title,
        alert.body,
        user=_secret("nightly.alert.mail.user", user) if user else "",
        password=_secret("nightly.alert.mail.password", password) if password else "",
    )


def _secret(key: str, name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise UserError(f"{key} names the environment variable {name}, which is not set")
    return value


def _retry(attempt_once: Callable[[], None]) -> None:
    """Retry after OSError, since networks fail for a moment. UserError stays until someone fixes the cause."""
    for attempt in range(ATTEMPTS):
        try:
            attempt_once()
            break
        except OSError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(FIRST_PAUSE * 2**attempt)
