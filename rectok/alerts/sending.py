"""Sends an alert every way that is asked for. A way that fails does not keep the others from trying."""

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
"""Tries of each way, and the seconds between the first two of them; the pause doubles."""


@dataclass(frozen=True)
class Alert:
    """What happened to the night of `date` (YYYY-MM-DD): a `title` in one line, the `text`, and where to read on."""

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
    """Send `alert`; the ways it took, in words, none where `config` is silent.

    Raises UserError that names each way that failed, after all were tried.
    """
    sent, failures = [], []
    for way in channels(config):
        try:
            _retried(partial(deliver, config, alert, way))
            sent.append(way)
        except (UserError, OSError) as error:
            failures.append(f"{way}: {error}")
    if failures:
        raise UserError(f"the alert “{alert.title}” was not delivered by {'; '.join(failures)}")
    return sent


def channels(config: AlertConfig) -> list[str]:
    """The ways that an alert is to take, in words; none where `config` is silent."""
    return [way for way, asked in (("webhook", config.webhook), ("e-mail", config.mail.host)) if asked]


def deliver(config: AlertConfig, alert: Alert, way: str) -> None:
    """Try one of `ways` once.

    Raises OSError where another try may help, and UserError where something has to be mended first.
    """
    if way == "webhook":
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


def _retried(go: Callable[[], None]) -> None:
    """Networks fail for a moment; what people got wrong (UserError) does not mend itself."""
    for attempt in range(ATTEMPTS):
        try:
            go()
            break
        except OSError:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(FIRST_PAUSE * 2**attempt)
