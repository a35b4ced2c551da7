"""Sends an alert every way that is asked for. A way that fails does not keep the others from trying."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

from rectok.alerts.config import AlertConfig
from rectok.alerts.mail import send_mail
from rectok.alerts.webhook import send_webhook
from rectok.errors import UserError

Kind = Literal["failed", "missed", "regression", "trial"]
ATTEMPTS, FIRST_PAUSE = 3, 1.0
"""Tries of each way, and the seconds between the first two of them; the pause doubles."""


@dataclass(frozen=True)
class Alert:
    """What happened to the night of `date` (YYYY-MM-DD): a `title` in one line, the `text`, and where to read on."""

    kind: Kind
    date: str
    title: str
    text: str
    link: str = ""


def send(config: AlertConfig, alert: Alert) -> list[str]:
    """Send `alert`; the ways it took, in words, none where `config` is silent.

    Raises UserError that names each way that failed, after all were tried.
    """
    sent, failures = [], []
    for way, go in _ways(config, alert):
        try:
            _retried(go)
            sent.append(way)
        except (UserError, OSError) as error:
            failures.append(f"{way}: {error}")
    if failures:
        raise UserError(f"the alert “{alert.title}” was not delivered by {'; '.join(failures)}")
    return sent


def _ways(config: AlertConfig, alert: Alert) -> Iterator[tuple[str, Callable[[], None]]]:
    body = "\n\n".join(part for part in (alert.text, alert.link) if part)
    if config.webhook:
        record = {**asdict(alert), "text": f"{alert.title}\n{body}"}
        yield "webhook", lambda: send_webhook(_secret("nightly.alert.webhook", config.webhook), record)
    if config.mail.host:
        mail = config.mail
        yield (
            "e-mail",
            lambda: send_mail(
                mail,
                alert.title,
                body,
                user=_secret("nightly.alert.mail.user", mail.user) if mail.user else "",
                password=_secret("nightly.alert.mail.password", mail.password) if mail.password else "",
            ),
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
